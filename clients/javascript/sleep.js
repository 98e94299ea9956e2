/** Settled after so many seconds. */
export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

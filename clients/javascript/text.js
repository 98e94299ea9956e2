/**
 * Text that a gateway takes: half of a surrogate pair, which no encoding has a place for, becomes
 * U+FFFD, as a browser's own encoders do it.
 */

const LONE = /\p{Surrogate}/gu;
/** `JSON.stringify` escapes a lone surrogate, and nothing else, like this. */
const ESCAPES = /\\(?:ud[89a-f]..|.)/g;

/** @param {string} text */
export const mend = (text) => text.replace(LONE, "\ufffd");

/** The JSON of a value whose texts, and names too, are mended. */
export const encode = (value) =>
  JSON.stringify(value).replace(ESCAPES, (it) => (it.length > 2 ? "\ufffd" : it));

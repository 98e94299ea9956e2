/** Makes an element with its properties and what is in it: text and elements, never markup. */
export function element(name, properties = {}, children = []) {
  const { role, ...own } = properties;
  const made = Object.assign(document.createElement(name), own);
  if (role) made.setAttribute("role", role);
  made.append(...[children].flat());
  return made;
}

// Elements made in one line, icons, and messages beside what caused them.

/** Make an element: attributes, listeners (onclick), properties (value, checked), children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (typeof value === "boolean" && !name.startsWith("aria-")) element[name] = value;
    else if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const PATHS = {
  plus: "M12 5v14M5 12h14",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7z",
  motion: "M3 12c3 0 3-6 6-6s3 12 6 12 3-6 6-6",
  video: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
    width: "20", height: "20",
  })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Find a place of the page, by the name that index.html gives it. */
export const place = (name, root = document) => root.querySelector(`[data-place="${name}"]`);

// What the library calls its arguments, and what Animate calls them under Adjust.
const CONTROLS = {
  crop: "Find the face", paste_back: "Keep the whole picture", transfer: "Transfer",
  best_frame: "Reference frame", still_background: "Hold the background still",
};

/** Write `crop=False` as the page shows it. */
export function inPageWords(message) {
  return message.replace(/`(\w+)=['"]?([^`'"]*)['"]?`/g, (whole, name, value) => {
    const label = CONTROLS[name];
    if (!label) return whole;
    const state = { True: "switched on", False: "switched off" }[value] ?? `at “${value}”`;
    return `“${label}” ${state} (Animate, Adjust)`;
  });
}

/** Show what went wrong in an element, or hide it. */
export function showError(element, error) {
  element.textContent = error ? inPageWords(error.message ?? String(error)) : "";
  element.hidden = !error;
}

export const errorBox = () => h("p", { class: "error", role: "alert", hidden: true });

/** Let a browser save some data as a file. */
export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Write a title at its best; a file's name stays as it is. */
export const asTitle = (text) => (/^(the|a) /.test(text) ? capitalized(text) : text);

// Sliders, switches and selections that hold values by the library's names.

import { capitalized, h } from "./dom.js";

const LABELS = {
  mouth_open: "Mouth open", brow_left: "Left brow", brow_right: "Right brow",
  blink_left: "Left eye shut", blink_right: "Right eye shut",
  gaze_x: "Eyes right", gaze_y: "Eyes down",
  yaw: "Turn", pitch: "Nod", roll: "Tilt",
};

/** A slider with its value; a double click puts it back. */
export function slider({ name, least, most, value, step = 0.05, unit = "", onchange = () => {} }) {
  const input = h("input", {
    type: "range", name, min: least, max: most, step, "data-default": value,
  });
  const shown = h("output");
  const show = () => { shown.textContent = `${Number(input.value)}${unit}`; };
  input.value = value;
  input.addEventListener("input", () => { show(); onchange(); });
  input.addEventListener("dblclick", () => set(value));
  const set = (wanted) => {
    input.value = wanted;
    input.dispatchEvent(new Event("input"));
  };
  show();
  const element = h("label", { class: "slider" }, h("span", {}, LABELS[name] ?? capitalized(name)),
    input, shown);
  return { element, name, get: () => Number(input.value), set, reset: () => set(value), show,
    put: (wanted) => { input.value = wanted; show(); } };
}

/** Several sliders under one heading. */
export function sliders(title, ranges, onchange, more = {}) {
  const all = Object.entries(ranges).map(([name, range]) => slider({
    name, least: range.least, most: range.most, value: range.default, onchange, ...more,
  }));
  return {
    element: h("fieldset", {}, h("legend", {}, title), ...all.map((one) => one.element)),
    /** Return the values that are not as they begin. */
    changed: () => Object.fromEntries(all
      .filter((one) => one.get() !== (ranges[one.name].default))
      .map((one) => [one.name, one.get()])),
    values: () => Object.fromEntries(all.map((one) => [one.name, one.get()])),
    put: (values) => all.forEach((one) => one.put(values[one.name] ?? ranges[one.name].default)),
    reset: () => all.forEach((one) => one.put(ranges[one.name].default)),
  };
}

export function toggle(label, name, value, onchange = () => {}) {
  const input = h("input", { type: "checkbox", name, checked: value, onchange });
  return { element: h("label", { class: "switch" }, input, h("span", {}, label)),
    name, get: () => input.checked, isChanged: () => input.checked !== value };
}

export function select(label, name, options, value) {
  const input = h("select", { name }, ...Object.entries(options)
    .map(([key, text]) => h("option", { value: key }, text)));
  input.value = value;
  return { element: h("label", { class: "field" }, label, input),
    name, get: () => input.value, isChanged: () => input.value !== value };
}

/** The angles of the server's description as ranges of sliders. */
export const angleRanges = (about) => Object.fromEntries(Object.entries(about.angles)
  .map(([axis, { reach }]) => [axis, { least: -reach, most: reach, default: 0 }]));

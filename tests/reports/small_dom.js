// As much of a browser as the script of our pages asks for: reads {tree, script, scenario} from standard input, runs the
// script on the tree and then the scenario, and writes what the scenario tells as JSON.
"use strict";

class Node {
  constructor(tag, attributes = {}) {
    this.tag = tag;
    this.attributes = {...attributes};
    this.childNodes = [];
    this.listeners = {};
    this.parent = null;
  }
  get children() { return this.childNodes.filter((node) => node instanceof Node); }
  get textContent() {
    return this.childNodes.map((node) => (node instanceof Node ? node.textContent : node)).join("");
  }
  set textContent(text) { this.replaceChildren(text); }
  get hidden() { return "hidden" in this.attributes; }
  set hidden(value) { if (value) this.attributes.hidden = ""; else delete this.attributes.hidden; }
  get value() { return this.attributes.value; }
  set value(value) { this.attributes.value = value; }
  get classList() {
    return {contains: (name) => (this.attributes.class || "").split(" ").includes(name)};
  }
  setAttribute(name, value) { this.attributes[name] = `${value}`; }
  getAttribute(name) { return name in this.attributes ? this.attributes[name] : null; }
  removeAttribute(name) { delete this.attributes[name]; }
  place(nodes, index) {
    for (const node of nodes) {
      if (node instanceof Node && node.parent) node.parent.childNodes.splice(node.parent.childNodes.indexOf(node), 1);
    }
    for (const node of nodes) if (node instanceof Node) node.parent = this;
    this.childNodes.splice(index ?? this.childNodes.length, 0, ...nodes.map((n) => (n instanceof Node ? n : `${n}`)));
  }
  append(...nodes) { this.place(nodes); }
  prepend(...nodes) { this.place(nodes, 0); }
  replaceChildren(...nodes) { this.childNodes = []; this.place(nodes); }
  addEventListener(name, listener) { (this.listeners[name] ??= []).push(listener); }
  dispatch(name) { for (const listener of this.listeners[name] || []) listener(); }
  click() { this.dispatch("click"); }
  querySelectorAll(selector) {
    const [tag, name] = selector.split(".");
    const fits = (node) => (!tag || node.tag === tag) && (!name || node.classList.contains(name));
    return this.children.flatMap((node) => [...(fits(node) ? [node] : []), ...node.querySelectorAll(selector)]);
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
}

const built = ([tag, attributes, children]) => {
  const node = new Node(tag, attributes);
  node.append(...children.map((child) => (typeof child === "string" ? child : built(child))));
  return node;
};

const {tree, script, scenario} = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const document = built(tree);
document.createElement = (tag) => new Node(tag);
const timers = new Map();
const run = (source, ...more) =>
  new Function("document", "setInterval", "clearInterval", "tick", source)(
    document, (f) => { timers.set(timers.size + 1, f); return timers.size; }, (id) => timers.delete(id),
    () => [...timers.values()].forEach((f) => f()), ...more);
run(script);
console.log(JSON.stringify(run(scenario)));

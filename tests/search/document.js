// Runs the script of a page (node document.js PAGE) in a small document, throws the first switch and
// asks about the second neighbour; prints as JSON what stood on the page after each step.
const fs = require("fs"), vm = require("vm");
const html = fs.readFileSync(process.argv[2], "utf8");
const ids = {};
let focused = "";

class Element {
  constructor(tag) {
    Object.assign(this, { tag, kids: [], attributes: {}, style: {}, className: "", clientWidth: 500, clientHeight: 420 });
    this.classList = { add() {}, remove() {}, toggle() {} };
  }
  append(...kids) { this.kids.push(...kids); }
  replaceChildren(...kids) { this.kids = kids; }
  get children() { return this.kids.filter((kid) => kid instanceof Element); }
  get textContent() { return this.kids.map((kid) => (kid instanceof Element ? kid.textContent : String(kid))).join(""); }
  set textContent(text) { this.kids = [text]; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  getContext() { return new Proxy({}, { get: () => () => {}, set: () => true }); }
  focus() { focused = this.attributes["aria-label"]; }
  querySelector(tag) {
    for (const kid of this.children) {
      const found = kid.tag === tag ? kid : kid.querySelector(tag);
      if (found) return found;
    }
    return null;
  }
}

for (const [, tag, id] of html.matchAll(/<(\w+)[^>]*\bid="([\w-]+)"/g)) ids[id] = new Element(tag);
ids.data.textContent = html.match(/<script type="application\/json" id="data">(.*?)<\/script>/s)[1];
ids.colour.value = "0";
const document = {
  body: new Element("body"), getElementById: (id) => ids[id] || null,
  createElement: (tag) => new Element(tag), querySelectorAll: () => [],
};
vm.runInNewContext(html.match(/<script>\n(.*?)<\/script>/s)[1], {
  document, performance, Audio: class { pause() {} }, ResizeObserver: class { observe() {} },
  matchMedia: () => ({ matches: true }), getComputedStyle: () => ({ color: "" }), devicePixelRatio: 1,
});

const seen = () => ({
  said: ids.said.textContent, asked: ids.asked.textContent, focused,
  near: ids.near.children.map((card) => card.children[1].textContent.replace(/^\d+ /, "")),
  alike: ids.alike.children.map((row) => row.textContent),
  on: ids.components.children.map((button) => button.attributes["aria-checked"]),
});
const told = [seen()];
ids.components.children[0].onclick();
told.push(seen());
ids.near.children[1].children.at(-1).onclick();
told.push(seen());
console.log(JSON.stringify(told));

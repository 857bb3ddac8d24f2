// Many elements are one stop of the Tab key; from one to the next go arrows, Page Up and Down, Home and End.

const UP_AND_DOWN = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity};
const ANY_ARROW = {...UP_AND_DOWN, ArrowRight: 1, ArrowLeft: -1};

class Roving {
  constructor(items, steps) {
    Object.assign(this, {items, steps});
    this.stopAt(items[0]);
  }

  stopAt(item) {
    this.stop?.setAttribute("tabindex", "-1");
    item?.setAttribute("tabindex", "0");
    this.stop = item;
  }

  key(event) {
    const [now, step] = [this.items.indexOf(document.activeElement), this.steps[event.key]];
    if (now < 0 || !step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.items[Math.max(0, Math.min(this.items.length - 1, now + step))].focus();
  }
}

"""What is wrong with a page for people who see little, hear it read, or hold a telephone: the basics of WCAG 2, worked
out in the browser that shows it."""

from collections.abc import Iterable

from harness.browser import Page

NARROW = 360
"""CSS pixels of a small telephone."""

SCRIPT = r"""
const skipped = new Set(arguments[0]), faults = [];
// What moves or fades is looked at when it has arrived.
if (!document.getElementById("nothing-moves")) {
    const still = document.createElement("style");
    still.id = "nothing-moves";
    still.textContent = "*, *::before, *::after { transition: none !important; animation: none !important; }";
    document.head.append(still);
}
const told = element => {
    const text = (element.getAttribute("aria-label") || element.textContent || "").trim().replace(/\s+/g, " ");
    const name = element.id ? `#${element.id}` : element.className && element.className.baseVal === undefined
        ? `.${String(element.className).trim().replace(/\s+/g, ".")}` : "";
    return `<${element.tagName.toLowerCase()}${name}> ${JSON.stringify(text.slice(0, 40))}`;
};
const visible = element => element.checkVisibility({opacityProperty: true, visibilityProperty: true})
    && element.getClientRects().length > 0 && !element.closest("[aria-hidden=true], [hidden]");

if (!document.title.trim()) faults.push("title: there is none");
if (!document.documentElement.lang) faults.push("language: <html> says none");

// Headings: one first heading, and none that is two levels deeper than the one before.
const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(visible);
if (headings.length && headings[0].tagName !== "H1") faults.push(`headings: the first one is ${told(headings[0])}`);
if (headings.filter(each => each.tagName === "H1").length !== 1) faults.push("headings: not one <h1>");
headings.reduce((before, each) => {
    const level = Number(each.tagName[1]);
    if (level > before + 1) faults.push(`headings: ${told(each)} follows one of level ${before}`);
    return level;
}, 0);

for (const image of document.querySelectorAll("img, svg[role=img]")) {
    const named = image.tagName === "IMG" ? image.hasAttribute("alt")
        : image.getAttribute("aria-label") || image.querySelector("title");
    if (!named) faults.push(`alt: ${image.getAttribute("src") || told(image)} has none`);
}

// What can be used has a name.
for (const control of document.querySelectorAll("a[href], button, input, select, textarea, summary")) {
    if (!visible(control) || control.type === "hidden") continue;
    const named = control.getAttribute("aria-label") || control.getAttribute("aria-labelledby") || control.title
        || (control.labels && [...control.labels].some(label => label.textContent.trim() || label.title))
        || control.textContent.trim() || (["submit", "button"].includes(control.type) && control.value)
        || [...control.querySelectorAll("img[alt]")].some(image => image.alt);
    if (!named) faults.push(`label: ${told(control)} ${control.outerHTML.slice(0, 100)} has no name`);
}

// Contrast (WCAG 2.1, 1.4.3): of each text with what is really behind it.
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const known = new Map();
const rgba = colour => {
    if (!known.has(colour)) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        known.set(colour, [red, green, blue, alpha / 255]);
    }
    return known.get(colour);
};
const over = (top, below) => [0, 1, 2].map(at => top[at] * top[3] + below[at] * (1 - top[3])).concat(1);
const luminance = ([red, green, blue]) => {
    const part = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
};
const canvasColour = () => {
    const probe = document.createElement("div");
    probe.style.cssText = "background: Canvas; display: none";
    document.body.append(probe);
    const colour = rgba(getComputedStyle(probe).backgroundColor);
    probe.remove();
    return colour;
};
const root = canvasColour();
const behind = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
        const style = getComputedStyle(at);
        if (style.backgroundImage !== "none") return null;  // a picture: not to be worked out
        const colour = rgba(style.backgroundColor);
        layers.push(colour);
        if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), root);
};
const opacity = element => {
    let all = 1;
    for (let at = element; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
    return all;
};
const seen = new Set();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element || seen.has(element) || !visible(element)) continue;
    if (["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE"].includes(element.tagName)) continue;
    if (element.closest(":disabled, [aria-disabled=true]")) continue;
    seen.add(element);
    const style = getComputedStyle(element), back = behind(element);
    if (!back) continue;
    const colour = rgba(style.color), shown = over([...colour.slice(0, 3), colour[3] * opacity(element)], back);
    const [light, dark] = [luminance(shown), luminance(back)].sort((one, other) => other - one);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast: ${ratio.toFixed(2)} of ${told(element)}`);
}

const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) {
    const who = [...document.body.querySelectorAll("*")].filter(each => visible(each)
        && each.getBoundingClientRect().right > innerWidth + 1);
    faults.push(`width: ${wide} of ${innerWidth}, by ${who.slice(0, 3).map(told).join(", ")}`);
}
return faults.filter(each => !skipped.has(each.split(":")[0]));
"""


def faults(page: Page, skipped: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with what a page shows now; `skipped` are kinds of faults: title, language, headings, alt,
    label, contrast, width."""
    found = page.script(SCRIPT, list(skipped))
    return [str(each) for each in found]


def faults_everywhere(page: Page, skipped: Iterable[str] = ()) -> list[str]:
    """Return them for light and dark, wide and narrow, each with where it is."""
    found = []
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        for width in (1280, NARROW):
            page.resize(width, 800)
            found += [f"{scheme}, {width}: {each}" for each in faults(page, skipped)]
    return found

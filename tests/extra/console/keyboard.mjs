// A person at the keyboard: goes from control to control with Tab, and never touches a mouse.
import assert from 'node:assert/strict';

const maxTabs = 200;

// Goes on with Tab until the control has the focus; what has it must be seen to have it.
export async function tabTo(page, control) {
  const target = await control.elementHandle();
  for (let tabs = 0; tabs < maxTabs; ++tabs) {
    await page.keyboard.press('Tab');
    const isThere = await target.evaluate((element) => element === document.activeElement);
    if (!isThere) continue;
    const outline = await target.evaluate((element) => getComputedStyle(element).outlineStyle);
    assert.notEqual(outline, 'none', `${control} shows no focus`);
    return;
  }
  assert.fail(`${control} is not reached with Tab`);
}

export async function type(page, control, text) {
  await tabTo(page, control);
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text);
}

export async function press(page, control, key = 'Enter') {
  await tabTo(page, control);
  await page.keyboard.press(key);
}

// Presses what leads to another page, and waits for that.
export async function follow(page, control) {
  await tabTo(page, control);
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.keyboard.press('Enter')]);
}

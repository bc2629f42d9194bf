// What every project does with the package: one room key is received, its message decrypted, and the verdict shown.

export async function story({ OlmMachine }, { own, item, event, room }, options) {
  const machine = await OlmMachine.open({ ...own, ...options });
  const { receipts: [receipt], stored } = await machine.promised.receiveRoomKeys([item]);
  await stored;
  const { clearEvent, encryptionInfo } = await machine.decryptRoomEvent(event, room);
  await machine.close();
  return `${receipt.senderData.type}, ${encryptionInfo.verdict.shield.color}: ${clearEvent.content.body}`;
}

/** Shows what came of a story, or the code of its failure and what it says. */
export async function show(work) {
  const say = (text) => void (document.querySelector("output").textContent = text);
  await work().then(say, (error) => say(`${error.code ?? error.name}: ${error.message}`));
}

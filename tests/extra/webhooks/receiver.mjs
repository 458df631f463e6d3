// A receiver of webhooks that takes what npm's standardwebhooks says is signed by the newest secret, and refuses the rest.
// What it takes it writes down, a line of JSON each, for verify.py.
//   node receiver.mjs SECRETS_FILE TAKEN_FILE
// Says where it listens.
import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const [secretsFile, takenFile] = process.argv.slice(2);

createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString();
    const secret = readFileSync(secretsFile, "utf8").trim().split("\n").at(-1);
    try {
      const event = new Webhook(secret).verify(body, request.headers);
      if (typeof event.type !== "string" || event.data.id !== request.headers["webhook-id"]) throw new Error(body);
    } catch (error) {
      console.log(`refused: ${error}`);
      response.writeHead(400).end();
      return;
    }
    appendFileSync(takenFile, JSON.stringify({ headers: request.headers, body }) + "\n");
    response.writeHead(204).end();
  });
}).listen(0, "127.0.0.1", function () {
  console.log(JSON.stringify({ event: "serving", address: `127.0.0.1:${this.address().port}` }));
});

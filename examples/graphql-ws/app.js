// Subscriptions that outlive the process that serves them. It runs twice, on two ports.
//
// What a client has subscribed to stands in a file, under the id that Penstock gives each client. A process that gets a
// client with count=1 or more in that header reads it, and hears it again as if the client said it: it sends nothing.
const fs = require("fs")
const { buildSchema } = require("graphql")
const { handleProtocols, makeServer } = require("graphql-ws")
const { WebSocketServer } = require("ws")

const port = Number(process.argv[2])
const schema = buildSchema("type Query { stop: Boolean } type Subscription { clock: Int }")

async function* clock() {
  for (;;) {
    yield { clock: port }
    await new Promise(done => setTimeout(done, 200))
  }
}

const server = makeServer({ schema, roots: { query: { stop: () => process.exit(1) }, subscription: { clock } } })

// What has been said and holds still: the beginning, and subscriptions that nobody has ended.
const said = path => {
  const messages = fs.readFileSync(path, "utf8").trim().split("\n").map(line => JSON.parse(line))
  const over = messages.filter(each => each.type === "complete").map(each => each.id)
  return messages.filter(each => each.type !== "complete" && !over.includes(each.id))
}

const lasts = message =>
  ["connection_init", "complete"].includes(message.type) ||
  (message.type === "subscribe" && message.payload.query.trim().startsWith("subscription"))

fs.mkdirSync("clients", { recursive: true })
new WebSocketServer({ host: "127.0.0.1", port, handleProtocols }).on("connection", (socket, request) => {
  const [, id, count] = /^id="([0-9a-f]+)", count=(\d+)/.exec(request.headers["penstock-redial"])
  const path = `clients/${id}`
  let again = count > 0
  const closed = server.opened({
    protocol: socket.protocol,
    send: data => (again && JSON.parse(data).type === "connection_ack" ? null : socket.send(data)),
    close: (code, reason) => socket.close(code, reason),
    onMessage: async hear => {
      const before = again && fs.existsSync(path) ? said(path) : []
      const heard = (async () => {
        for (const message of before) {
          const done = hear(JSON.stringify(message)) // of a subscription: only when that is over
          if (message.type === "connection_init") await done
        }
        again = false
      })()
      socket.on("message", async data => {
        await heard
        const message = JSON.parse(data)
        if (lasts(message)) fs.appendFileSync(path, JSON.stringify(message) + "\n")
        await hear(String(data))
      })
    },
  }, {})
  socket.on("close", (code, reason) => {
    closed(code, String(reason))
    if (code !== 1001) fs.rmSync(path, { force: true }) // 1001: Penstock has moved the client to the other process
  })
})

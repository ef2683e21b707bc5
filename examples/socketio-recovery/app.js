// A clock for everybody. Who was away for up to two minutes gets the ticks in between.
const { Server } = require("socket.io")

const io = new Server({ connectionStateRecovery: { maxDisconnectionDuration: 120_000 } })
let number = 0
setInterval(() => io.emit("tick", ++number), 200)
io.listen(Number(process.argv[2]))

// Clients that say numbers, and note what comes back: for a page, and for node with the package `ws` of npm.
//
//     node redial_clients.js      commands on stdin, a line of JSON for each on stdout: what `chatters` answers
const chatters = [];

class Chatter {
    constructor(WebSocket, url, pause, again) {
        Object.assign(this, { said: 0, back: [], doubtful: [], redials: 0, code: 0, stopped: false });
        this.socket = new WebSocket(url);
        this.socket.onopen = () => (this.timer = setInterval(() => this.say(), pause));
        this.socket.onclose = told => {
            clearInterval(this.timer);
            this.code = told.code;
        };
        this.socket.onerror = () => {};
        this.socket.onmessage = told => {
            if (told.data !== again) {
                this.back.push(Number(told.data.split(" ")[1]));
                return;
            }
            this.redials += 1;
            for (let number = 1 + (this.back.at(-1) ?? -1); number < this.said; number += 1) this.doubtful.push(number);
            if (this.stopped) this.say();
        };
    }

    say() {
        if (this.socket.readyState !== 1) return;
        this.socket.send(String(this.said));
        this.said += 1;
    }

    // Say a last number: its answer tells that all that come have come.
    stop() {
        clearInterval(this.timer);
        this.stopped = true;
        this.say();
    }

    get state() {
        const { said, back, doubtful, redials, code } = this;
        return { said, back, doubtful, redials, code };
    }
}

function told(command, WebSocket) {
    if (command.do === "begin")
        for (let number = 0; number < command.count; number += 1)
            chatters.push(new Chatter(WebSocket, command.url, command.pause, command.again));
    if (command.do === "stop") chatters.forEach(each => each.stop());
    if (command.do === "close") chatters.forEach(each => each.socket.close(1000));
    return chatters.map(each => each.state);
}

if (typeof window === "undefined") {
    const { WebSocket } = require("ws");
    require("readline").createInterface({ input: process.stdin })
        .on("line", line => console.log(JSON.stringify(told(JSON.parse(line), WebSocket))))
        .on("close", () => process.exit(0));
}

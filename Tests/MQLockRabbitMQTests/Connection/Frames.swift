/// AMQP frames written by hand, for a server that breaks the rules.
enum Frames {
    static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
        [type] + bytes(channel) + bytes(UInt32(payload.count)) + payload + [0xCE]
    }

    static func method(_ channel: UInt16, _ classID: UInt16, _ methodID: UInt16, _ arguments: [UInt8] = []) -> [UInt8] {
        frame(1, channel, bytes(classID) + bytes(methodID) + arguments)
    }

    static func header(_ channel: UInt16, bodySize: UInt64, classID: UInt16 = 60, flags: UInt16 = 0) -> [UInt8] {
        frame(2, channel, bytes(classID) + [0, 0] + bytes(bodySize) + bytes(flags))
    }

    static func body(_ channel: UInt16, _ payload: [UInt8]) -> [UInt8] { frame(3, channel, payload) }

    static func delivery(_ channel: UInt16, tag: UInt64) -> [UInt8] {
        method(channel, 60, 60, short("c") + bytes(tag) + [0] + short("") + short("q"))
    }

    static func short(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }

    static func long(_ text: String) -> [UInt8] { bytes(UInt32(text.utf8.count)) + Array(text.utf8) }

    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// What a broker says until a client is logged in. All at once: the client reads it piece by piece.
    static func login(channelMax: UInt16 = 100, heartbeat: UInt16 = 0) -> [UInt8] {
        start + tune(channelMax: channelMax, heartbeat: heartbeat) + method(0, 10, 41, short(""))
    }

    static let start = method(0, 10, 10, [0, 9] + bytes(UInt32(0)) + long("PLAIN") + long("en_US"))

    static func tune(channelMax: UInt16, heartbeat: UInt16) -> [UInt8] {
        method(0, 10, 30, bytes(channelMax) + bytes(UInt32(131_072)) + bytes(heartbeat))
    }

    /// Every method of AMQP 0-9-1 with RabbitMQ's additions, whoever may send it, with arguments that can be read; and frames
    /// that are no methods. The rest of a message is left out where one should follow.
    static func everything(on channel: UInt16) -> [(name: String, bytes: [UInt8])] {
        let table = bytes(UInt32(0))
        let close = bytes(UInt16(406)) + short("PRECONDITION_FAILED") + [0, 50, 0, 10]
        let methods: [(UInt16, UInt16, [UInt8])] = [
            (10, 10, [0, 9] + table + long("PLAIN") + long("en_US")),
            (10, 11, table + short("PLAIN") + long("") + short("")),
            (10, 20, long("")), (10, 21, long("")), (10, 30, [0, 1] + bytes(UInt32(4096)) + [0, 1]),
            (10, 31, [0, 1] + bytes(UInt32(4096)) + [0, 1]), (10, 40, short("/") + short("") + [0]),
            (10, 41, short("")),
            (10, 50, close), (10, 51, []), (10, 60, short("low on memory")), (10, 61, []),
            (10, 70, long("") + short("")), (10, 71, []),
            (20, 10, short("")), (20, 11, long("")), (20, 20, [0]), (20, 21, [0]), (20, 40, close), (20, 41, []),
            (30, 10, short("") + [0]), (30, 11, [0, 1]),
            (40, 10, [0, 0] + short("e") + short("direct") + [0] + table), (40, 11, []),
            (40, 20, [0, 0] + short("e") + [0]),
            (40, 21, []), (40, 30, [0, 0] + short("a") + short("b") + short("") + [0] + table), (40, 31, []),
            (40, 40, [0, 0] + short("a") + short("b") + short("") + [0] + table), (40, 51, []),
            (50, 10, [0, 0] + short("q") + [0] + table), (50, 11, short("q") + bytes(UInt32.max) + bytes(UInt32.max)),
            (50, 20, [0, 0] + short("q") + short("e") + short("") + [0] + table), (50, 21, []),
            (50, 30, [0, 0] + short("q") + [0]), (50, 31, bytes(UInt32.max)), (50, 40, [0, 0] + short("q") + [0]),
            (50, 41, bytes(UInt32.max)), (50, 50, [0, 0] + short("q") + short("e") + short("") + table), (50, 51, []),
            (60, 10, bytes(UInt32(0)) + [0, 1, 0]), (60, 11, []),
            (60, 20, [0, 0] + short("q") + short("c") + [0] + table), (60, 21, short("line")),
            (60, 21, short("token-1")),
            (60, 30, short("line") + [0]), (60, 30, short("register") + [0]), (60, 30, short("queue") + [0]),
            (60, 30, short("token-1") + [0]),
            (60, 31, short("line")), (60, 40, [0, 0] + short("") + short("q") + [0]),
            (60, 50, [0xFF, 0xFF] + short("text") + short("") + short("q")),
            (60, 60, short("line") + bytes(UInt64.max) + [1] + short("mqlock.v1") + short("q")),
            (60, 70, [0, 0] + short("q") + [0]),
            (60, 71, bytes(UInt64.max) + [1] + short("mqlock.v1") + short("q") + bytes(UInt32.max)),
            (60, 72, short("")),
            (60, 80, bytes(UInt64.max) + [1]), (60, 80, bytes(UInt64(0)) + [0]), (60, 90, bytes(UInt64.max) + [1]),
            (60, 100, [1]), (60, 110, [1]), (60, 111, []), (60, 120, bytes(UInt64.max) + [1]),
            (60, 120, bytes(UInt64(1)) + [0]),
            (85, 10, [0]), (85, 11, []), (90, 10, []), (90, 11, []), (90, 20, []), (90, 21, []), (90, 30, []),
            (90, 31, []),
            (99, 99, []),
        ]
        let frames: [(String, [UInt8])] = [
            ("a content header", header(channel, bodySize: 1)),
            ("a header without a body", header(channel, bodySize: 0)),
            ("a huge header", header(channel, bodySize: .max)),
            ("a header of another class", header(channel, bodySize: 1, classID: 90)),
            ("a body", body(channel, [1])), ("an empty body", body(channel, [])),
            ("a heartbeat", frame(8, channel, [])),
            ("a frame of no type", frame(9, channel, [])),
        ]
        let nonce = String(repeating: "0", count: 32)
        let messages = [
            "token 1 \(nonce)", "token 9223372036854775807 \(nonce)", "line 1 \(nonce) 0", "proof 0 \(nonce)",
        ]
        .flatMap { text in
            let body = Array("mqlock.v1 \(text)".utf8)
            let content = header(channel, bodySize: UInt64(body.count)) + self.body(channel, body)
            let origin = bytes(UInt64.max) + [0] + short("mqlock.v1") + short("mqlock.v1/peer")
            return ["line", "token-1"].map { tag in
                ("'\(text)' to \(tag)", method(channel, 60, 60, short(tag) + origin) + content)
            } + [("'\(text)' asked for", method(channel, 60, 71, origin + bytes(UInt32(0))) + content)]
        }
        return methods.map { ("\($0.0).\($0.1)", method(channel, $0.0, $0.1, $0.2)) } + frames + messages
    }
}

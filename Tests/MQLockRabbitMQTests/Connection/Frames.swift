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
    static func login(heartbeat: UInt16 = 0) -> [UInt8] {
        method(0, 10, 10, [0, 9] + bytes(UInt32(0)) + long("PLAIN") + long("en_US"))
            + method(0, 10, 30, bytes(UInt16(100)) + bytes(UInt32(131_072)) + bytes(heartbeat))
            + method(0, 10, 41, short(""))
    }
}

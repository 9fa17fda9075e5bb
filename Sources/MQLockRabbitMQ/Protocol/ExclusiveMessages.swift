/// What stands in the line of an exclusive queue, `mqlock.v1 turn 0 NONCE`: whoever it is delivered to is first and may
/// take the lock.
struct TurnMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.turn"

    let nonce: Nonce

    private static let word = "turn"

    var payload: [UInt8] { MessageText(Self.word, 0, nonce).payload }

    init(nonce: Nonce) { self.nonce = nonce }

    /// Reads a payload; nil for whatever is not exactly a turn of this version.
    init?(payload: [UInt8]) {
        guard let text = MessageText(payload: payload), text.word == Self.word, text.number == 0 else { return nil }
        self.init(nonce: text.nonce)
    }
}

/// What is in the fencing register of an exclusive queue, `mqlock.v1 fence NUMBER NONCE`: the number of a grant, or of one
/// that did not come about.
struct FenceMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.fence"

    let number: UInt64
    let nonce: Nonce

    private static let word = "fence"

    var payload: [UInt8] { MessageText(Self.word, number, nonce).payload }

    init(number: UInt64, nonce: Nonce) {
        (self.number, self.nonce) = (number, nonce)
    }

    /// Reads a payload; nil for whatever is not exactly a number of this version.
    init?(payload: [UInt8]) {
        guard let text = MessageText(payload: payload), text.word == Self.word else { return nil }
        self.init(number: text.number, nonce: text.nonce)
    }
}

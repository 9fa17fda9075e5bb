import MQLock

/// What tells one published message from every other.
typealias Nonce = RandomID

/// What a mutex publishes to its queue; its nonce sets it apart from every other.
protocol LockMessage: Sendable {
    var nonce: Nonce { get }
    var payload: [UInt8] { get }
    /// The message's type property; for people who look at queues.
    static var type: String { get }
}

extension LockMessage {
    /// The properties of its publish. Receivers look at the payload only.
    /// - Parameter user: the login's name; nil when we do not know it.
    func properties(user: String?) -> MessageProperties {
        MessageProperties(
            contentType: "text/plain", deliveryMode: 2, messageID: nonce.description, type: Self.type, userID: user,
            appID: "mqlock")
    }
}

/// The text of every payload of `mqlock.v1`: the version, a word, a decimal number, a nonce, and with some words another
/// number, in ASCII, with one space between.
struct MessageText: Hashable, Sendable {
    let word: String
    let number: UInt64
    let nonce: Nonce
    var after: UInt64?

    private static let version = "mqlock.v1"
    /// The longest payload: longer messages need not be looked at.
    static let maximumLength = 100

    init(_ word: String, _ number: UInt64, _ nonce: Nonce, after: UInt64? = nil) {
        (self.word, self.number, self.nonce, self.after) = (word, number, nonce, after)
    }

    var payload: [UInt8] {
        Array("\(Self.version) \(word) \(number) \(nonce)\(after.map { " \($0)" } ?? "")".utf8)
    }

    /// The text of a message that counts: one that the broker delivers with our exchange; nil for any other. Who may publish
    /// through the exchange is decided by the broker, whatever a message says.
    init?(_ delivery: Delivery) {
        guard delivery.exchange == ObjectNames.exchange, !delivery.isOversize else { return nil }
        self.init(payload: delivery.body)
    }

    /// Reads a payload; nil for whatever is not exactly a text of this version.
    init?(payload: [UInt8]) {
        guard payload.count <= Self.maximumLength, let text = String(validating: payload, as: UTF8.self) else {
            return nil
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard (4...5).contains(words.count), words[0] == Self.version, let number = Self.number(words[2]),
            let nonce = Nonce(words[3])
        else { return nil }
        self.init(String(words[1]), number, nonce)
        guard words.count == 5 else { return }
        guard let after = Self.number(words[4]) else { return nil }
        self.after = after
    }

    /// Decimal, without sign or leading zeros.
    private static func number(_ text: Substring) -> UInt64? {
        UInt64(text).flatMap { String($0) == text ? $0 : nil }
    }
}

/// The payload of the token mutex: `mqlock.v1 token NUMBER NONCE`.
struct TokenMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.token"

    /// The number at its seeding; the broker's count of hand-overs is added to it.
    let number: UInt64
    let nonce: Nonce

    private static let word = "token"

    var payload: [UInt8] { MessageText(Self.word, number, nonce).payload }

    init(number: UInt64, nonce: Nonce) {
        self.number = number
        self.nonce = nonce
    }

    /// Reads a text; nil for whatever is no token.
    init?(_ text: MessageText) {
        guard text.word == Self.word, text.after == nil else { return nil }
        self.init(number: text.number, nonce: text.nonce)
    }
}

/// What is in a line: `mqlock.v1 line NUMBER NONCE AFTER` is a token, and `mqlock.v1 proof 0 NONCE` what a holder has the queue
/// hand back to it, to prove that it still serves nobody else.
struct LineMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.line"

    enum Kind: String, Sendable { case token = "line", companion = "proof" }

    let kind: Kind
    /// 0 for a companion.
    let number: UInt64
    let nonce: Nonce
    /// Of a token: the fence of the holder that published it, in the place of the one it held; 0 for one that was published by
    /// somebody who suspected that there was none. It shows whoever holds with a smaller fence that its place is lost.
    let after: UInt64

    var payload: [UInt8] {
        MessageText(kind.rawValue, number, nonce, after: kind == .token ? after : nil).payload
    }

    static func token(_ number: UInt64, _ nonce: Nonce, after: UInt64 = 0) -> Self {
        Self(kind: .token, number: number, nonce: nonce, after: after)
    }

    static func companion(_ nonce: Nonce) -> Self { Self(kind: .companion, number: 0, nonce: nonce, after: 0) }

    private init(kind: Kind, number: UInt64, nonce: Nonce, after: UInt64) {
        (self.kind, self.number, self.nonce, self.after) = (kind, number, nonce, after)
    }

    /// Reads a text; nil for whatever is not one of the two.
    init?(_ text: MessageText) {
        switch (Kind(rawValue: text.word), text.after) {
        case (.token, let after?): self = .token(text.number, text.nonce, after: after)
        case (.companion, nil) where text.number == 0: self = .companion(text.nonce)
        case (.token, nil), (.companion, _), (nil, _): return nil
        }
    }
}

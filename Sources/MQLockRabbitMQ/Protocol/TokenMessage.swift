import MQLock

/// Distinguishes one published message from every other.
typealias Nonce = RandomID

/// A message that a mutex publishes to its queue; its nonce distinguishes it from every other.
protocol LockMessage: Sendable {
    var nonce: Nonce { get }
    var payload: [UInt8] { get }
    /// The message's type property, for people who look at queues.
    static var type: String { get }
}

extension LockMessage {
    /// The properties of its publish. Receivers look only at the payload.
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
    /// The longest payload: longer messages need not be read.
    static let maximumLength = 100

    init(_ word: String, _ number: UInt64, _ nonce: Nonce, after: UInt64? = nil) {
        (self.word, self.number, self.nonce, self.after) = (word, number, nonce, after)
    }

    var payload: [UInt8] {
        Array("\(Self.version) \(word) \(number) \(nonce)\(after.map { " \($0)" } ?? "")".utf8)
    }

    /// The text of a message that counts, which the broker delivers with our exchange; nil for any other. The broker
    /// decides who may publish through the exchange, whatever a message says.
    init?(_ delivery: Delivery) {
        guard delivery.exchange == ObjectNames.exchange, !delivery.isOversize else { return nil }
        self.init(payload: delivery.body)
    }

    /// Reads a payload; nil for anything that is not exactly a text of this version.
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

    /// Reads a text; nil for anything that is no token.
    init?(_ text: MessageText) {
        guard text.word == Self.word, text.after == nil else { return nil }
        self.init(number: text.number, nonce: text.nonce)
    }
}

/// A message in a line: `mqlock.v1 line NUMBER NONCE AFTER` is a token. `mqlock.v1 proof 0 NONCE` is a companion: the
/// queue returns it to the holder, to prove that it still serves nobody else. `mqlock.v1 want 0 NONCE` is a want: somebody
/// waits in line, so whoever is first must not keep the lock when it is released.
struct LineMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.line"

    enum Kind: String, Sendable { case token = "line", companion = "proof", want }

    let kind: Kind
    /// 0 for a companion and a want.
    let number: UInt64
    let nonce: Nonce
    /// For a token: the fence of the holder that published it to replace its own; 0 for a seed, published by a
    /// contender that suspected there was no token. It shows a holder with a smaller fence that its place is lost.
    let after: UInt64

    var payload: [UInt8] {
        MessageText(kind.rawValue, number, nonce, after: kind == .token ? after : nil).payload
    }

    static func token(_ number: UInt64, _ nonce: Nonce, after: UInt64 = 0) -> Self {
        Self(kind: .token, number: number, nonce: nonce, after: after)
    }

    static func companion(_ nonce: Nonce) -> Self { Self(kind: .companion, number: 0, nonce: nonce, after: 0) }

    static func want(_ nonce: Nonce) -> Self { Self(kind: .want, number: 0, nonce: nonce, after: 0) }

    private init(kind: Kind, number: UInt64, nonce: Nonce, after: UInt64) {
        (self.kind, self.number, self.nonce, self.after) = (kind, number, nonce, after)
    }

    /// Reads a text; nil for anything that is neither.
    init?(_ text: MessageText) {
        switch (Kind(rawValue: text.word), text.after) {
        case (.token, let after?): self = .token(text.number, text.nonce, after: after)
        case (.companion, nil) where text.number == 0: self = .companion(text.nonce)
        case (.want, nil) where text.number == 0: self = .want(text.nonce)
        case (.token, nil), (.companion, _), (.want, _), (nil, _): return nil
        }
    }
}

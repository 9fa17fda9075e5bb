import MQLock

/// What tells one published message from every other.
typealias Nonce = RandomID

/// What a mutex publishes to its queue: told from every other by its nonce.
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

/// The text of every payload of `mqlock.v1`: the version, a word, a decimal number and a nonce, in ASCII, with one space
/// between.
struct MessageText: Hashable, Sendable {
    let word: String
    let number: UInt64
    let nonce: Nonce

    private static let version = "mqlock.v1"
    /// The longest payload: longer messages need not be looked at.
    static let maximumLength = 80

    init(_ word: String, _ number: UInt64, _ nonce: Nonce) {
        (self.word, self.number, self.nonce) = (word, number, nonce)
    }

    var payload: [UInt8] { Array("\(Self.version) \(word) \(number) \(nonce)".utf8) }

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
        guard words.count == 4, words[0] == Self.version,
            words[2].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt64(words[2]), String(number) == words[2], let nonce = Nonce(words[3])
        else { return nil }
        self.init(String(words[1]), number, nonce)
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
        guard text.word == Self.word else { return nil }
        self.init(number: text.number, nonce: text.nonce)
    }
}

/// What is in a line: `mqlock.v1 line NUMBER NONCE` is a token, and `mqlock.v1 proof 0 NONCE` what a holder has the queue hand
/// back to it, to prove that it still serves nobody else.
struct LineMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.line"

    enum Kind: String, Sendable { case token = "line", companion = "proof" }

    let kind: Kind
    /// 0 for a companion.
    let number: UInt64
    let nonce: Nonce

    var payload: [UInt8] { MessageText(kind.rawValue, number, nonce).payload }

    init(_ kind: Kind, number: UInt64, nonce: Nonce) {
        (self.kind, self.number, self.nonce) = (kind, number, nonce)
    }

    /// Reads a text; nil for whatever is not one of the two.
    init?(_ text: MessageText) {
        guard let kind = Kind(rawValue: text.word), kind == .token || text.number == 0 else { return nil }
        self.init(kind, number: text.number, nonce: text.nonce)
    }
}

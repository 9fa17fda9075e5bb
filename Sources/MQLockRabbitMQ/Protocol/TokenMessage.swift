/// What tells one published message from every other: 128 random bits.
struct Nonce: Hashable, Sendable, CustomStringConvertible {
    /// 32 lower-case hexadecimal digits.
    let description: String

    init() {
        description = (0..<4).map { _ in
            let digits = String(UInt32.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    /// Reads what ``description`` writes; nil for anything else.
    init?(_ text: some StringProtocol) {
        guard text.utf8.count == 32, text.utf8.allSatisfy(Self.isDigit) else { return nil }
        description = String(text)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}

/// What a mutex publishes to its queue: told from every other by its nonce.
protocol LockMessage: Sendable {
    var nonce: Nonce { get }
    var payload: [UInt8] { get }
    /// The message's type property; for people who look at queues.
    static var type: String { get }
}

/// The payload of a token: `mqlock.v1 token NUMBER NONCE`, in ASCII.
struct TokenMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.token"

    /// The number at its seeding; the broker's count of hand-overs is added to it.
    let number: UInt64
    let nonce: Nonce

    private static let prefix = "mqlock.v1 token"
    /// The longest payload: longer messages need not be looked at.
    static let maximumLength = 80

    var payload: [UInt8] { Array("\(Self.prefix) \(number) \(nonce)".utf8) }

    init(number: UInt64, nonce: Nonce) {
        self.number = number
        self.nonce = nonce
    }

    /// Reads a payload; nil for whatever is not exactly a token of this version.
    init?(payload: [UInt8]) {
        guard payload.count <= Self.maximumLength, let text = String(validating: payload, as: UTF8.self) else {
            return nil
        }
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "mqlock.v1", words[1] == "token",
            words[2].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = UInt64(words[2]), String(number) == words[2], let nonce = Nonce(words[3])
        else { return nil }
        self.init(number: number, nonce: nonce)
    }
}

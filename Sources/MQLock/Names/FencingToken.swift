/// The number of a grant: strictly larger for every later grant of the same name.
///
/// A resource that remembers the largest token it has seen, and refuses smaller ones, cannot be written by a stale
/// holder, whatever the holder believes. See ``FenceGate``.
public struct FencingToken: RawRepresentable, Hashable, Comparable, Sendable {
    /// The number itself, below 2^63, so it fits a signed 64-bit column.
    public let rawValue: UInt64

    /// The largest number a token may have.
    package static let maximum = UInt64(Int64.max)

    /// Wraps a number; `nil` when it is 2^63 or more.
    public init?(rawValue: UInt64) {
        guard rawValue <= Self.maximum else { return nil }
        self.rawValue = rawValue
    }

    /// Reads the decimal form that ``description`` writes; `nil` for anything else: a sign, a space, a leading zero.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt64(text),
            number == 0 ? text.utf8.count == 1 : text.utf8.first != 0x30
        else { return nil }
        self.init(rawValue: number)
    }

    /// Whether the left token belongs to an earlier grant.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension FencingToken: CustomStringConvertible {
    /// The number in decimal.
    public var description: String { String(rawValue) }
}

extension FencingToken: Codable {
    /// Decodes a plain number.
    public init(from decoder: any Decoder) throws {
        let number = try decoder.singleValueContainer().decode(UInt64.self)
        guard let token = Self(rawValue: number) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "a fencing token is below 2^63"))
        }
        self = token
    }

    /// Encodes as a plain number.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// What a message says about the hold under which it was sent: which lock, which fencing token, who.
///
/// Three headers, the same on every broker: `mqlock-name`, the lock's name in UTF-8; `mqlock-fence`, the token in
/// decimal; `mqlock-owner`, text for people. In AMQP they are strings of the message's header table, in Kafka headers
/// of the record. The holder stamps, and the program that keeps state compares: ``StampedMessageGate``.
///
/// A stamp proves nothing by itself: any program that may publish can write one. It separates late messages of honest
/// programs from current ones.
public struct FenceStamp: Hashable, Sendable {
    /// The lock.
    public let name: LockName
    /// The token of the grant under which the message was sent.
    public let token: FencingToken
    /// Who held the lock, at most 200 bytes of UTF-8. Untrusted when it comes from a message.
    public let owner: String

    /// The longest owner in bytes of UTF-8.
    package static let maximumOwnerLength = 200

    /// The names of the headers.
    package enum Header {
        /// Of the lock's name.
        package static let name = "mqlock-name"
        /// Of the token.
        package static let fence = "mqlock-fence"
        /// Of the owner.
        package static let owner = "mqlock-owner"
    }

    /// Makes a stamp; an owner that is too long is cut between two characters.
    public init(name: LockName, token: FencingToken, owner: String) {
        self.name = name
        self.token = token
        self.owner = owner.cut(toUTF8: Self.maximumOwnerLength)
    }

    /// The stamp of what is sent under a lease. It does not check whether the lease is valid: see
    /// ``Lease/check(atLeast:)``.
    public init(_ lease: Lease) { self.init(name: lease.name, token: lease.fencingToken, owner: lease.owner) }

    /// The three headers with their values, to be added to a message's own.
    public var headers: [(String, String)] {
        [(Header.name, name.string), (Header.fence, token.description), (Header.owner, owner)]
    }
}

extension FenceStamp: CustomStringConvertible {
    /// Token, name and owner, escaped, for display.
    public var description: String { "token \(token) of the lock \(name) by \(owner.escapedForDisplay)" }
}

extension FenceStamp {
    /// What the headers of a message hold.
    public enum Reading: Hashable, Sendable {
        /// None of the three headers.
        case absent
        /// Something that no ``FenceStamp`` writes, with what is wrong, for display. Treated as unstamped, a message
        /// would pass that was meant to be fenced.
        case malformed(String)
        /// All three, each once and well formed.
        case stamp(FenceStamp)

        /// The stamp, if there is one.
        package var stamp: FenceStamp? { if case .stamp(let stamp) = self { stamp } else { nil } }
    }

    /// Reads the headers of a message. Strict: each of the three once, as text, within its limits, the token as this
    /// type writes it. Headers of other names are skipped.
    /// - Parameter headers: names and bytes, in any order; nil for a value that has none (Kafka), or is no string (AMQP).
    public static func read(_ headers: some Sequence<(String, [UInt8]?)>) -> Reading {
        var found: [String: [UInt8]] = [:]
        for (key, value) in headers {
            // By bytes: to Swift, strings of different bytes may be equal.
            guard let header = all.first(where: { $0.utf8.elementsEqual(key.utf8) }) else { continue }
            guard found[header] == nil else { return .malformed("the header \(header) is there twice") }
            guard let value else { return .malformed("the header \(header) is no text") }
            found[header] = value
        }
        if found.isEmpty { return .absent }
        for header in all where found[header] == nil { return .malformed("the header \(header) is missing") }
        guard let name = text(found[Header.name], upTo: LockName.maximumLength), let name = try? LockName(name) else {
            return .malformed("the header \(Header.name) is no name of 1 to \(LockName.maximumLength) bytes of UTF-8")
        }
        guard let digits = text(found[Header.fence], upTo: 19), let token = FencingToken(digits) else {
            return .malformed("the header \(Header.fence) is no decimal number below 2^63")
        }
        guard let owner = text(found[Header.owner], upTo: maximumOwnerLength) else {
            return .malformed("the header \(Header.owner) is no text of up to \(maximumOwnerLength) bytes of UTF-8")
        }
        return .stamp(FenceStamp(name: name, token: token, owner: owner))
    }

    /// Reads headers that a client library gives as text, each name once.
    public static func read(_ headers: [String: String]) -> Reading {
        read(headers.lazy.map { ($0.key, Array($0.value.utf8)) })
    }

    private static let all = [Header.name, Header.fence, Header.owner]

    private static func text(_ bytes: [UInt8]?, upTo limit: Int) -> String? {
        guard let bytes, bytes.count <= limit else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension String {
    /// The longest beginning of whole characters that fits.
    fileprivate func cut(toUTF8 limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var length = 0
        return String(
            prefix { character in
                length += character.utf8.count
                return length <= limit
            })
    }
}

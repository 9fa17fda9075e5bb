public import MQLock

/// Whose a record is: the lock under which it was written, with the grant's fencing token and owner.
///
/// It travels in three headers, each as text: `mqlock-name`, `mqlock-fence` (decimal) and `mqlock-owner`.
public struct RecordStamp: Hashable, Sendable {
    /// The lock's name; `shard/3` for the lease on a whole shard.
    public let name: LockName
    /// The number of the grant.
    public let token: FencingToken
    /// Who held it, as configured, at most ``maximumOwnerLength`` bytes; for people.
    public let owner: String

    /// The header of the lock's name.
    public static let nameHeader = "mqlock-name"
    /// The header of the fencing token.
    public static let tokenHeader = "mqlock-fence"
    /// The header of the owner.
    public static let ownerHeader = "mqlock-owner"

    /// The longest owner in bytes of UTF-8.
    public static let maximumOwnerLength = 200

    /// A stamp of these parts; an owner that is too long is cut between two characters.
    public init(name: LockName, token: FencingToken, owner: String) {
        (self.name, self.token) = (name, token)
        var owner = owner[...]
        while owner.utf8.count > Self.maximumOwnerLength { owner.removeLast() }
        self.owner = String(owner)
    }

    /// The stamp of what is written under a lease.
    public init(_ lease: Lease) { self.init(name: lease.name, token: lease.fencingToken, owner: lease.owner) }

    /// Reads a stamp; `nil` unless each of the three headers is there once, and is what ``headers`` writes.
    public init?(_ headers: some Sequence<RecordHeader>) {
        var texts: [String: String] = [:]
        for header in headers where Self.isReserved(header.name) {
            guard let value = header.value, let text = String(validating: value, as: UTF8.self),
                texts.updateValue(text, forKey: header.name) == nil
            else { return nil }
        }
        guard let name = texts[Self.nameHeader].flatMap({ try? LockName($0) }),
            let token = texts[Self.tokenHeader].flatMap({ FencingToken($0) }), let owner = texts[Self.ownerHeader],
            owner.utf8.count <= Self.maximumOwnerLength
        else { return nil }
        self.init(name: name, token: token, owner: owner)
    }

    /// The three headers.
    public var headers: [RecordHeader] {
        [
            RecordHeader(Self.nameHeader, name.utf8), RecordHeader(Self.tokenHeader, token.description),
            RecordHeader(Self.ownerHeader, owner),
        ]
    }

    static func isReserved(_ header: String) -> Bool {
        header == nameHeader || header == tokenHeader || header == ownerHeader
    }
}

/// The arguments with which the objects of `mqlock.v1` are declared, by the broker's version.
///
/// Chosen by a pure function, for they are part of the protocol: two programs that declare differently refuse each
/// other with 406.
struct QueueArguments: Sendable, Equatable {
    let pairs: [String: FieldValue]

    private static let day: Int64 = 24 * 60 * 60 * 1000

    /// The token's queue.
    ///
    /// `x-delivery-limit: -1` is required from 4.0, where the 21st return would drop the token, and destroys it before,
    /// where -1 is taken for a limit below every count (release notes 4.0; seen on 3.10.8).
    static func token(_ version: BrokerVersion) -> QueueArguments {
        // Unused queues go after a fortnight: twice the register's, so that a token never goes before its register,
        // which would name a token that is no more.
        var pairs: [String: FieldValue] = ["x-queue-type": .string("quorum"), "x-expires": .int64(14 * day)]
        if version >= BrokerVersion(4, 0, 0) { pairs["x-delivery-limit"] = .int64(-1) }
        return QueueArguments(pairs: pairs)
    }

    /// The single active consumer's queue. By the flag the two kinds of queue, which have the same name, refuse each other.
    static func singleActiveConsumer(_ version: BrokerVersion) -> QueueArguments {
        QueueArguments(pairs: token(version).pairs.merging([singleActiveConsumerFlag: true]) { $1 })
    }

    static let singleActiveConsumerFlag = "x-single-active-consumer"

    /// The write-once register: the first declarer's nonce stands, for another's answers 406.
    static func register(_ nonce: Nonce) -> QueueArguments {
        QueueArguments(pairs: [
            "x-queue-type": .string("quorum"), "x-expires": .int64(7 * day),
            "x-dead-letter-exchange": .string(""), "x-dead-letter-routing-key": .string(nonce.description),
        ])
    }

    /// The exclusive queue that lets one contender at a time mend a lock. It frees itself should a mender forget it.
    static let mend = QueueArguments(pairs: ["x-expires": .int64(60_000)])
}

/// The version that a broker names in its server properties.
struct BrokerVersion: Sendable, Comparable, CustomStringConvertible {
    let major: Int
    let minor: Int
    let patch: Int

    init(_ major: Int, _ minor: Int, _ patch: Int) {
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    /// What a broker says of itself. One that hides its version is taken for a recent one: there the delivery limit has
    /// to be set.
    init(announced text: String?) { self = BrokerVersion(text ?? "") ?? BrokerVersion(4, 0, 0) }

    /// Reads `3.10.8`, also with a suffix (`4.0.0-rc.1`, `3.13.7+2`); nil for anything that begins otherwise.
    init?(_ text: String) {
        let core = text.prefix { $0 != "-" && $0 != "+" }
        let numbers = core.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...4).contains(numbers.count), let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(major, minor, numbers.count > 2 ? numbers[2] ?? 0 : 0)
    }

    var description: String { "\(major).\(minor).\(patch)" }

    static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}

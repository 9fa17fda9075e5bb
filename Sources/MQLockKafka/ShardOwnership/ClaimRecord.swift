import MQLock

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What a new owner of a shard writes into the shard's partition (protocol `mqlock.v1`).
///
/// One key per partition, so that compaction keeps the newest; the value is a JSON object.
struct ClaimRecord: Codable, Equatable, Sendable {
    /// The protocol's version; records of others are not read.
    var version = Self.version
    /// How many partitions the owner assumes; for people who look at the topic.
    var partitions: Int
    /// The claimer's owner, as configured, and its member id in the group.
    var owner: String
    var member: String
    /// Larger than in every earlier claim of the shard.
    var number: UInt64

    static let version = "mqlock.v1"
    /// A longer value is not ours, and need not be read.
    static let maximumLength = 4096

    static func key(_ shard: Int32) -> [UInt8] { Array("\(version)/shard/\(shard)".utf8) }

    /// Whether shard owners write records with this key.
    static func isKey(_ key: [UInt8]) -> Bool { key.starts(with: "\(version)/".utf8) }

    func value() throws(LockError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self), data.count <= Self.maximumLength else {
            throw LockError(.invalidConfiguration, "the owner's name is too long for a claim")
        }
        return Array(data)
    }

    /// Reads a record of that shard; nil if it is not a claim of this version.
    init?(key: [UInt8], value: [UInt8], shard: Int32) {
        guard key == Self.key(shard), value.count <= Self.maximumLength,
            let record = try? JSONDecoder().decode(Self.self, from: Data(value)), record.version == Self.version
        else { return nil }
        self = record
    }

    /// Reads a record of its own partition's shard.
    init?(_ record: LogReader.Record) { self.init(key: record.key, value: record.value, shard: record.partition) }

    init(partitions: Int, owner: String, member: String, number: UInt64) {
        (self.partitions, self.owner, self.member, self.number) = (partitions, owner, member, number)
    }
}

/// How claims are numbered. The grants of one claim count up from its number.
enum ClaimNumber {
    /// How many grants a claim is good for. After them the shard is claimed again.
    static let grants: UInt64 = 1 << 24
    private static let numbering = FencingNumbering(
        step: grants, carrier: "a claim in the lock topic",
        remedy: """
            raise toleratedLead (lead= in a URI) on all members until the clocks have caught up, and tokens go on from \
            there
            """)

    /// The number of a new claim; `largest` is that of all earlier ones.
    /// - Parameters:
    ///   - now: milliseconds since 1970.
    ///   - lead: how far ahead of the clock it may be.
    static func next(
        above largest: UInt64?, at now: Int64, lead: Duration = .milliseconds(FencingNumbering.tolerance)
    ) throws(LockError) -> UInt64 {
        try numbering.token(numbering.next(above: largest, at: now), at: now, lead: lead).rawValue
    }

    /// Refuses a clock that differs from a broker's by more than `lead`. Brokers before 2026 are wrong, or make it up.
    static func check(_ now: Int64, against broker: Int64, lead: Duration) throws(LockError) {
        guard broker >= FencingNumbering.epoch else { return }
        let (ahead, overflow) = now.subtractingReportingOverflow(broker)
        guard overflow || ahead.magnitude > UInt64(max(0, lead.nanoseconds / 1_000_000)) else { return }
        throw LockError(
            .internalError,
            """
            this machine's clock says \(WallClock.text(now)) and the broker's \(WallClock.text(broker)); fencing tokens \
            are numbered by the clock: set it. Nothing was claimed
            """)
    }
}

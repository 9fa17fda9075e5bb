import Foundation
import MQLock

/// What a new owner of a shard writes into the shard's partition (protocol `mqlock.v1`).
///
/// One key per partition, so that compaction keeps the newest; the value is a JSON object.
struct ClaimRecord: Codable, Equatable, Sendable {
    /// The protocol's version; others are not read.
    var version = Self.version
    /// How many partitions the owner takes the topic to have; for people who look at the topic.
    var partitions: Int
    /// Who claims, as configured, and its member id in the group.
    var owner: String
    var member: String
    /// Larger than in every earlier claim of the shard.
    var number: UInt64

    static let version = "mqlock.v1"
    /// Longer values are not ours, and need not be looked at.
    static let maximumLength = 4096

    static func key(_ shard: Int32) -> [UInt8] { Array("\(version)/shard/\(shard)".utf8) }

    func value() throws(LockError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self), data.count <= Self.maximumLength else {
            throw LockError(.invalidConfiguration, "the owner's name is too long for a claim")
        }
        return Array(data)
    }

    /// Reads a record of that shard; nil for whatever is not a claim of this version.
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

/// How claims are numbered: by milliseconds since 2026, shifted, or else just above all earlier claims; the grants of
/// one claim count up from its number.
enum ClaimNumber {
    /// How many grants a claim is good for; then the shard is claimed anew.
    static let grants: UInt64 = 1 << 24
    /// 2026-01-01T00:00:00Z in Unix seconds.
    private static let epoch: TimeInterval = 1_767_225_600
    private static let shift: UInt64 = 21
    /// How far ahead of the clock a number from outside may be.
    private static let tolerance: TimeInterval = 24 * 60 * 60

    /// The number of a new claim, `largest` being that of all earlier ones.
    static func next(above largest: UInt64?, at now: Date) throws(LockError) -> UInt64 {
        guard let clock = number(at: now), let limit = number(at: now.addingTimeInterval(tolerance)) else {
            throw LockError(
                .internalError, "this machine's clock says \(now); claims are numbered from 2026 on: set the clock")
        }
        guard let largest else { return clock }
        let (next, overflow) = largest.addingReportingOverflow(grants)
        guard !overflow, next <= limit, next <= FencingToken.maximum - grants else {
            throw LockError(
                .tokenRegression,
                """
                a claim in the lock topic has the number \(largest), more than a day ahead of this machine's clock \
                (\(now)): either the clock is wrong, or the record was forged; if the clock is right, create the topic \
                anew
                """)
        }
        return max(clock, next)
    }

    private static func number(at now: Date) -> UInt64? {
        let milliseconds = ((now.timeIntervalSince1970 - epoch) * 1000).rounded(.down)
        guard milliseconds >= 0, milliseconds < Double(UInt64(1) << 42) else { return nil }
        return UInt64(milliseconds) << shift
    }
}

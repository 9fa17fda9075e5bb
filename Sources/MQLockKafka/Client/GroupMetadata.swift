import CMQLockRdKafka

/// What a client knew of its membership of the group at one instant: the group, the generation and the member id.
///
/// A transaction is fenced by it, and a commit counts only when it is the same before and after (BROKER-FACTS.md).
final class GroupMetadata: @unchecked Sendable {
    /// The library's own object, immutable; valid as long as this one is kept.
    let raw: OpaquePointer
    let membership: Membership

    init(of client: ClientHandle) throws(KafkaFailure) {
        guard let raw = rd_kafka_consumer_group_metadata(client.raw) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG, "the client is of no group")
        }
        do throws(KafkaFailure) {
            membership = try Self.read(raw)
        } catch {
            rd_kafka_consumer_group_metadata_destroy(raw)
            throw error
        }
        self.raw = raw
    }

    deinit { rd_kafka_consumer_group_metadata_destroy(raw) }

    /// Librdkafka 2.0.2 has no getters, so this reads its serialized form (`rdkafka_cgrp.c`): `CGMDv2:`, the generation
    /// in this machine's byte order, then zero-terminated strings: group and member.
    private static func read(_ raw: OpaquePointer) throws(KafkaFailure) -> Membership {
        var buffer: UnsafeMutableRawPointer?
        var size = 0
        try KafkaFailure.check(rd_kafka_consumer_group_metadata_write(raw, &buffer, &size))
        defer { rd_kafka_mem_free(nil, buffer) }
        let bytes = [UInt8](UnsafeRawBufferPointer(start: buffer, count: size))
        guard let membership = Membership(serialized: bytes) else {
            throw KafkaFailure(
                RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, "this librdkafka writes group metadata in a form not known here")
        }
        return membership
    }
}

/// Who a client is in its group, as far as the broker checks it.
struct Membership: Hashable, Sendable {
    /// Counted by the broker; below zero before the first join and after some losses.
    let generation: Int32
    /// Assigned by the broker; empty in the same cases.
    let member: String

    /// Whether a broker would check it. A request without a generation or a member id is accepted unchecked.
    var isComplete: Bool { generation >= 0 && !member.isEmpty }

    init(generation: Int32, member: String) {
        self.generation = generation
        self.member = member
    }

    /// From the library's serialized form; nil if it is in another format.
    init?(serialized bytes: [UInt8]) {
        let magic = Array("CGMDv2:".utf8)
        guard bytes.starts(with: magic), bytes.count >= magic.count + 4 else { return nil }
        generation = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: magic.count, as: Int32.self) }
        var strings = bytes[(magic.count + 4)...].split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)[
            ...]
        guard strings.count == 3, strings.popFirst() != nil, let member = strings.popFirst() else { return nil }
        self.member = String(decoding: member, as: UTF8.self)
    }
}

import CMQLockRabbitMQ

/// A kind of queue, with the arguments that MQLock gives it: the same work for the broker.
struct RawQueueKind: Sendable {
    var isSingleActive = false
    /// A classic queue that belongs to its connection and goes with it; else a quorum queue.
    var isExclusive = false

    func withArguments(_ majorVersion: Int, _ body: (amqp_table_t) throws -> Void) rethrows {
        var entries = [Self.text(Self.type, isExclusive ? Self.classic : Self.quorum)]
        if !isExclusive { entries.append(Self.number(Self.expires, 14 * 24 * 3_600_000)) }
        // From 4.0 the default limit would drop the token at its 21st return; before, -1 drops it at once.
        if majorVersion >= 4, !isExclusive { entries.append(Self.number(Self.limit, -1)) }
        if isSingleActive {
            var entry = amqp_table_entry_t()
            entry.key = Self.single.bytes
            entry.value.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            entry.value.value.boolean = 1
            entries.append(entry)
        }
        try entries.withUnsafeMutableBufferPointer {
            try body(amqp_table_t(num_entries: Int32($0.count), entries: $0.baseAddress))
        }
    }

    private static let (type, quorum, classic) = (RawText("x-queue-type"), RawText("quorum"), RawText("classic"))
    private static let (expires, limit) = (RawText("x-expires"), RawText("x-delivery-limit"))
    private static let single = RawText("x-single-active-consumer")

    private static func text(_ key: RawText, _ value: RawText) -> amqp_table_entry_t {
        var entry = amqp_table_entry_t()
        entry.key = key.bytes
        entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
        entry.value.value.bytes = value.bytes
        return entry
    }

    private static func number(_ key: RawText, _ value: Int64) -> amqp_table_entry_t {
        var entry = amqp_table_entry_t()
        entry.key = key.bytes
        entry.value.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
        entry.value.value.i64 = value
        return entry
    }
}

import CRabbitMQ

/// A kind of queue that the raw programs declare: with the arguments of ours, the same work for the broker.
struct RawQueueKind: Sendable {
    var isClassic = false
    var isSingleActive = false
    /// Where rejected messages go, by the default exchange.
    var deadLetters: RawText?
    /// The lock itself, which belongs to its connection and goes with it.
    var isExclusive = false

    func withArguments(_ majorVersion: Int, _ body: (amqp_table_t) throws -> Void) rethrows {
        var entries = [Self.text(Self.type, isClassic ? Self.classic : Self.quorum)]
        if !isExclusive { entries.append(Self.number(Self.expires, 14 * 24 * 3_600_000)) }
        // From 4.0 the default limit would drop the token at its 21st return; before, -1 drops it at once.
        if majorVersion >= 4, !isClassic { entries.append(Self.number(Self.limit, -1)) }
        if isSingleActive {
            var entry = amqp_table_entry_t()
            entry.key = Self.single.bytes
            entry.value.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            entry.value.value.boolean = 1
            entries.append(entry)
        }
        if let deadLetters {
            entries += [Self.text(Self.exchange, Self.none), Self.text(Self.routingKey, deadLetters)]
        }
        try entries.withUnsafeMutableBufferPointer {
            try body(amqp_table_t(num_entries: Int32($0.count), entries: $0.baseAddress))
        }
    }

    private static let (type, quorum, classic) = (RawText("x-queue-type"), RawText("quorum"), RawText("classic"))
    private static let (expires, limit) = (RawText("x-expires"), RawText("x-delivery-limit"))
    private static let single = RawText("x-single-active-consumer")
    private static let (exchange, none) = (RawText("x-dead-letter-exchange"), RawText(""))
    private static let routingKey = RawText("x-dead-letter-routing-key")

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

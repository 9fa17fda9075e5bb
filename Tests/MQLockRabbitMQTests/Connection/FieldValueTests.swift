import CMQLockRabbitMQ
import Testing

@testable import MQLockRabbitMQ

@Suite("Field values")
struct FieldValueTests {
    static let everyKind: [String: FieldValue] = [
        "bool": true, "i8": .int8(-128), "u8": .uint8(255), "i16": .int16(-32768), "u16": .uint16(65535),
        "i32": .int32(.min), "u32": .uint32(.max), "i64": .int64(.min), "u64": .uint64(.max), "f32": .float(1.5),
        "f64": .double(-.pi), "decimal": .decimal(scale: 2, value: 31415), "utf8": "Grüße 🐇", "empty": "",
        "bytes": .bytes([0, 255, 128]), "time": .timestamp(1_767_225_600), "void": .void, "none": .array([]),
        "array": .array([1, "two", .array([.void]), .table(["x": false])]),
        "table": .table(["a": .table(["b": .table(["c": .int32(7)])])]), "nothing": .table([:]),
    ]

    /// Through the library's own encoder and decoder.
    private func roundTrip(_ table: [String: FieldValue]) -> [String: FieldValue]? {
        let arena = Arena(capacity: 64)
        var encoded = FieldValue.encode(table, in: arena)
        var storage = [UInt8](repeating: 0, count: 131_072)
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4096)
        defer { empty_amqp_pool(&pool) }
        return storage.withUnsafeMutableBytes { storage in
            let buffer = amqp_bytes_t(len: storage.count, bytes: storage.baseAddress)
            var length = 0
            guard amqp_encode_table(buffer, &encoded, &length) == 0 else { return nil }
            var decoded = amqp_table_t()
            var offset = 0
            let input = amqp_bytes_t(len: length, bytes: storage.baseAddress)
            guard amqp_decode_table(input, &pool, &decoded, &offset) == 0 else { return nil }
            return FieldValue.decode(decoded)
        }
    }

    @Test func everyKindSurvives() {
        #expect(roundTrip(Self.everyKind) == Self.everyKind)
        #expect(roundTrip([:]) == [:])
    }

    @Test func deepTablesAreCutOff() {
        var value = FieldValue.string("bottom")
        for level in 0..<100 { value = level % 2 == 0 ? .table(["t": value]) : .array([value]) }
        var depth = 0
        var rest = roundTrip(["top": value])?["top"]
        while let inner = rest?.table?["t"] ?? rest?.array?.first {
            depth += 1
            rest = inner
        }
        #expect(rest == .void)
        #expect(depth == FieldValue.depthLimit)
    }

    @Test func integersOfEveryWidthReadAlike() {
        let same: [FieldValue] = [.int8(5), .uint8(5), .int16(5), .uint16(5), .int32(5), .uint32(5), 5, .uint64(5)]
        #expect(same.allSatisfy { $0.integer == 5 })
        #expect(FieldValue.uint64(.max).integer == nil)
        #expect(FieldValue.string("5").integer == nil)
    }

    @Test func stringsThatAreNotUTF8AreBytes() {
        var text: [UInt8] = [0xC3, 0x28]
        let value = text.withUnsafeMutableBytes { text in
            var entry = amqp_table_entry_t()
            entry.key = amqp_bytes_t(len: 0, bytes: nil)
            entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            entry.value.value.bytes = amqp_bytes_t(len: text.count, bytes: text.baseAddress)
            return withUnsafeMutablePointer(to: &entry) {
                FieldValue.decode(amqp_table_t(num_entries: 1, entries: $0))[""]
            }
        }
        #expect(value == .bytes([0xC3, 0x28]))
    }
}

import CMQLockRabbitMQ
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// The frames of AMQP as librabbitmq takes them apart, and what we make of that.
@Suite("Whatever is in a frame") struct WireFuzzTests {
    /// Gives a decoder of the library the bytes in memory of their own, which ends where they end.
    private static func decoding<Result>(
        _ bytes: [UInt8], _ body: (UnsafeMutablePointer<amqp_pool_t>, amqp_bytes_t) -> Result
    ) -> Result {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        var pool = amqp_pool_t()
        init_amqp_pool(&pool, 4096)
        defer { empty_amqp_pool(&pool) }
        return body(&pool, amqp_bytes_t(len: copy.count, bytes: copy.baseAddress))
    }

    private static func table(_ bytes: [UInt8]) -> [String: FieldValue]? {
        decoding(bytes) { pool, bytes in
            var table = amqp_table_t()
            var offset = 0
            return amqp_decode_table(bytes, pool, &table, &offset) == 0 ? FieldValue.decode(table) : nil
        }
    }

    private static func properties(_ bytes: [UInt8]) -> MessageProperties? {
        decoding(bytes) { pool, bytes in
            var decoded: UnsafeMutableRawPointer?
            guard amqp_decode_properties(UInt16(AMQP_BASIC_CLASS), pool, bytes, &decoded) == 0, let decoded else {
                return nil
            }
            return MessageProperties(decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee)
        }
    }

    private static func encoded(_ body: (Arena, amqp_bytes_t) -> Int32) -> [UInt8]? {
        var storage = [UInt8](repeating: 0, count: 16_384)
        let arena = Arena(capacity: 4096)
        let length = storage.withUnsafeMutableBytes { body(arena, amqp_bytes_t(len: $0.count, bytes: $0.baseAddress)) }
        return length < 0 ? nil : Array(storage.prefix(Int(length)))
    }

    private static func encoded(_ table: [String: FieldValue]) -> [UInt8]? {
        encoded { arena, buffer in
            var table = FieldValue.encode(table, in: arena)
            var length = 0
            let status = amqp_encode_table(buffer, &table, &length)
            return status < 0 ? status : Int32(length)
        }
    }

    private static func encoded(_ properties: MessageProperties) -> [UInt8]? {
        encoded { arena, buffer in
            var properties = properties.encoded(in: arena)
            return amqp_encode_properties(UInt16(AMQP_BASIC_CLASS), &properties, buffer)
        }
    }

    /// Not a number is not equal to itself.
    private static func isComparable(_ value: FieldValue) -> Bool {
        switch value {
        case .float(let value): !value.isNaN
        case .double(let value): !value.isNaN
        case .array(let values): values.allSatisfy(isComparable)
        case .table(let table): table.values.allSatisfy(isComparable)
        default: true
        }
    }

    /// Whether a name was no UTF-8: it may be too long now.
    private static func isRepaired(_ value: FieldValue) -> Bool {
        switch value {
        case .array(let values): values.contains(where: isRepaired)
        case .table(let table): table.contains { $0.key.contains("\u{FFFD}") || isRepaired($0.value) }
        default: false
        }
    }

    @Test func fieldTables() async throws {
        let example = try #require(Self.encoded(FieldValueTests.everyKind))
        let fault = await Fuzzing.firstFault(in: "field tables", examples: [example, [0, 0, 0, 0]]) { bytes in
            guard let table = Self.table(bytes) else { return .refused }
            for value in table.values { _ = (value.integer, value.string, value.boolean, value.array, value.table) }
            // What comes as text and is none is written as bytes, and names are repaired, so once more.
            guard let again = Self.encoded(table).flatMap(Self.table) else {
                return Self.isRepaired(.table(table)) ? .read : .wrong("not read again")
            }
            return again == table || !Self.isComparable(.table(table)) ? .read : .wrong("another table")
        }
        #expect(fault == nil)
    }

    @Test func propertiesOfMessages() async throws {
        let examples = [
            MessageProperties(
                contentType: "text/plain", headers: ["x-delivery-count": .int64(.max), "x-acquired-count": .uint8(1)],
                deliveryMode: 2, correlationID: "c", replyTo: "r", messageID: "m", timestamp: .max, type: "t",
                userID: "u", appID: "a"),
            MessageProperties(headers: ["mqlock-name": "n", "mqlock-fence": "42", "mqlock-owner": "o"]),
        ]
        let fault = await Fuzzing.firstFault(
            in: "properties", examples: try examples.map { try #require(Self.encoded($0)) }
        ) {
            bytes in
            guard let properties = Self.properties(bytes) else { return .refused }
            let returns = BrokerBehavior.returns(of: properties)
            _ = try? TokenNumber.fence(.max, returns: returns)
            guard let again = Self.encoded(properties).flatMap(Self.properties) else {
                // Repaired text is longer than what it was made of.
                return properties.shortStrings.contains { $0.contains("\u{FFFD}") }
                    || Self.isRepaired(.table(properties.headers)) ? .read : .wrong("not read again")
            }
            return again == properties || !Self.isComparable(.table(properties.headers)) ? .read : .wrong("others")
        }
        #expect(fault == nil)
    }

    /// The number of a method, and its arguments.
    @Test func methods() async {
        let examples = Frames.everything(on: 1).compactMap { $0.bytes[0] == 1 ? Array($0.bytes[7...].dropLast()) : nil }
            .filter { Self.inbound($0) == .read }
        #expect(examples.count > 50)
        let fault = await Fuzzing.firstFault(in: "methods", examples: examples) { Self.inbound($0) }
        #expect(fault == nil)
    }

    private static func inbound(_ bytes: [UInt8]) -> Fuzzing.Outcome {
        guard bytes.count >= 4 else { return .refused }
        let id = bytes[..<4].reduce(0) { $0 << 8 | UInt32($1) }
        return decoding(Array(bytes[4...])) { pool, bytes in
            var decoded: UnsafeMutableRawPointer?
            guard amqp_decode_method(id, pool, bytes, &decoded) == 0, let decoded else { return .refused }
            let method = InboundMethod(id: id, channel: 1, decoded: decoded)
            if let announcement = method.announcement {
                return announcement.inbound(on: 1).channel == 1 ? .read : .wrong("")
            }
            let inbound = method.inbound
            _ = inbound.answer
            return .read
        }
    }

    /// librabbitmq 0.11 follows tables into tables without end, and anybody who may publish can send some. So there has to be
    /// room for all that a frame can hold, on the stacks that read frames. 0.15 refuses them.
    @Test func deepTables() async throws {
        #expect(throws: ConnectionFailure.self) { try AMQPURI.parse("amqp://h?frame_max=131073") }
        let size = try AMQPURI.parse("amqp://h?frame_max=131072").frameMax
        let key: [UInt8] = [1, UInt8(ascii: "k")]
        for (name, opening) in [("arrays", []), ("tables", key)] {
            let kind = opening.isEmpty ? UInt8(ascii: "A") : UInt8(ascii: "F")
            let levels = (size - 64) / (opening.count + 5)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(size)
            // From the inside out, it would be said: each holds all that follows.
            var left = levels * (opening.count + 5)
            bytes += Frames.bytes(UInt32(left + (opening.isEmpty ? 2 : 0)))
            if opening.isEmpty { bytes += key }
            for _ in 0..<levels {
                left -= opening.count + 5
                bytes += opening + [kind] + Frames.bytes(UInt32(left))
            }
            let isRead: Bool? = await withCheckedContinuation { continuation in
                let status = LoopThread.start(name: "deep") { [bytes] in
                    continuation.resume(returning: Self.table(bytes) != nil)
                }
                if status != 0 { continuation.resume(returning: nil) }
            }
            let mayRefuse = amqp_version_number() >= 0x000F_0000
            #expect(isRead == true || mayRefuse && isRead == false, "\(name)")
        }
    }

    /// Frames of messages in any order: each byte is a frame.
    @Test func contents() async {
        let delivery = Delivery(consumerTag: "c", deliveryTag: 1, redelivered: false, exchange: "", routingKey: "q")
        let fault = await Fuzzing.firstFault(in: "contents", examples: [[0, 17, 33], [0, 16, 0, 19, 34, 33]]) {
            bytes in
            var assembler = ContentAssembler()
            do throws(ContentAssembler.Violation) {
                for byte in bytes {
                    switch byte >> 4 {
                    case 0: try assembler.begin(.delivery(delivery))
                    case 1: _ = try assembler.header(MessageProperties(), bodySize: UInt64(byte & 15))
                    case 15: _ = try assembler.header(MessageProperties(), bodySize: .max - UInt64(byte & 15))
                    default:
                        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(byte & 15) % 7, alignment: 1)
                        defer { body.deallocate() }
                        for index in body.indices { body[index] = byte }
                        let whole = try assembler.body(UnsafeRawBufferPointer(body))
                        if case .delivery(let delivery)? = whole, delivery.body.count > 15 { return .wrong("too long") }
                    }
                }
            } catch {
                return .refused
            }
            return .read
        }
        #expect(fault == nil)
    }
}

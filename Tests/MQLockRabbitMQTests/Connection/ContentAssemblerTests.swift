import Testing

@testable import MQLockRabbitMQ

@Suite("Content assembler")
struct ContentAssemblerTests {
    private let delivery = Delivery(
        consumerTag: "c", deliveryTag: 1, redelivered: false, exchange: "", routingKey: "q")

    private func feed(
        _ assembler: inout ContentAssembler, _ bytes: [UInt8]
    ) throws(ContentAssembler.Violation) -> Inbound? {
        // withUnsafeBytes does not pass typed errors on.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        return try assembler.body(UnsafeRawBufferPointer(copy))?.inbound(on: 9)
    }

    private func message(of inbound: Inbound?) -> Delivery? {
        if case .delivery(channel: 9, let delivery) = inbound { delivery } else { nil }
    }

    @Test func emptyBody() throws {
        var assembler = ContentAssembler()
        try assembler.begin(.delivery(delivery))
        let complete = try assembler.header(MessageProperties(type: "t"), bodySize: 0)?.inbound(on: 9)
        #expect(message(of: complete)?.properties.type == "t")
        #expect(message(of: complete)?.body == [])
        #expect(assembler.isIdle)
    }

    @Test func bodyInPieces() throws {
        var assembler = ContentAssembler()
        try assembler.begin(.delivery(delivery))
        #expect(try assembler.header(MessageProperties(), bodySize: 5) == nil)
        #expect(try feed(&assembler, [1, 2]) == nil)
        #expect(try feed(&assembler, []) == nil)
        #expect(message(of: try feed(&assembler, [3, 4, 5]))?.body == [1, 2, 3, 4, 5])
        #expect(assembler.isIdle)
    }

    @Test func oversizeBodiesAreSkipped() throws {
        var assembler = ContentAssembler()
        try assembler.begin(.delivery(delivery))
        let piece = [UInt8](repeating: 7, count: ContentAssembler.bodyLimit / 2)
        #expect(try assembler.header(MessageProperties(), bodySize: UInt64(ContentAssembler.bodyLimit + 1)) == nil)
        #expect(try feed(&assembler, piece) == nil)
        #expect(try feed(&assembler, piece) == nil)
        let last = message(of: try feed(&assembler, [7]))
        #expect(last?.isOversize == true && last?.body == [])

        try assembler.begin(.delivery(delivery))
        #expect(try assembler.header(MessageProperties(), bodySize: UInt64(ContentAssembler.bodyLimit)) == nil)
        #expect(try feed(&assembler, piece) == nil)
        #expect(message(of: try feed(&assembler, piece))?.body.count == ContentAssembler.bodyLimit)
    }

    @Test func violations() throws {
        var assembler = ContentAssembler()
        #expect(throws: ContentAssembler.Violation.self) { try assembler.header(MessageProperties(), bodySize: 0) }
        #expect(throws: ContentAssembler.Violation.self) { try feed(&assembler, [1]) }
        try assembler.begin(.delivery(delivery))
        #expect(throws: ContentAssembler.Violation.self) { try assembler.begin(.delivery(delivery)) }
        #expect(throws: ContentAssembler.Violation.self) { try feed(&assembler, [1]) }
        #expect(throws: ContentAssembler.Violation.self) {
            try assembler.header(MessageProperties(), bodySize: .max)
        }
        _ = try assembler.header(MessageProperties(), bodySize: 1)
        #expect(throws: ContentAssembler.Violation.self) { try assembler.header(MessageProperties(), bodySize: 1) }
        #expect(throws: ContentAssembler.Violation.self) { try feed(&assembler, [1, 2]) }
    }
}

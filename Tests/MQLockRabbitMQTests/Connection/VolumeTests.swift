import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension BrokerConnectionTests {
    @Suite("Volume")
    struct VolumeTests {
        /// Bytes of memory that the process has resident; nil where that cannot be told: /proc is missing, or the address
        /// sanitizer keeps what was freed (256 MB of it).
        private func residentBytes() -> Int? {
            guard dlsym(nil, "__asan_init") == nil else { return nil }
            let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { return nil }
            defer { close(file) }
            var line = [UInt8](repeating: 0, count: 256)
            let count = read(file, &line, line.count)
            guard count > 0 else { return nil }
            let fields = line.prefix(count).split(separator: UInt8(ascii: " "))
            guard fields.count > 1, let text = String(validating: fields[1], as: UTF8.self), let pages = Int(text)
            else {
                return nil
            }
            return pages * Int(getpagesize())
        }

        @Test(.timeLimit(.minutes(1)))
        func memoryStaysBoundedOver100kDeliveries() throws {
            let wire = try Wire()
            let connection = wire.connection
            let queue = Wire.uniqueName()
            try wire.declare(queue)
            try connection.basicConsume(1, queue, tag: "c", noAck: true)
            try wire.expect(.consumeOK(channel: 1, tag: "c"))
            connection.beginBatch()
            let body = [UInt8](repeating: 1, count: 200)
            let properties = MessageProperties(headers: ["number": 1, "nonce": "abcdefghijklmnop"], messageID: "m")
            var (sent, received, early) = (0, 0, 0)
            while received < 100_000 {
                if sent - received < 1000, sent < 100_000 {
                    for _ in 0..<100 {
                        try connection.basicPublish(
                            1, exchange: "", routingKey: queue, properties: properties, body: body)
                    }
                    sent += 100
                    connection.flush()
                }
                try connection.readAvailable { inbound in
                    if case .delivery(_, let delivery) = inbound, delivery.body.count == 200 { received += 1 }
                }
                if early == 0, received > 10_000 { early = residentBytes() ?? 0 }
                if received < 100_000, sent - received >= 1000 || sent == 100_000 {
                    var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
                    #expect(poll(&descriptor, 1, 5000) > 0)
                }
            }
            // 90 000 deliveries of 200 bytes and their tables would be far more than 50 MB.
            if let late = residentBytes(), early > 0 { #expect(late - early < 16 << 20, "\(late - early) bytes more") }
            try wire.delete(queue)
            connection.close()
        }

        @Test(arguments: [131_064, 131_065, 500_000, 1 << 20, 1 << 20 + 1, 3 << 20])
        func bodiesOfManyFrames(_ size: Int) throws {
            let wire = try Wire()
            let queue = Wire.uniqueName("big")
            try wire.declare(queue)
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            try wire.connection.basicPublish(1, exchange: "", routingKey: queue, body: body)
            try wire.connection.basicGet(1, queue, noAck: true)
            let delivery = try wire.expectDelivery()
            if size <= ContentAssembler.bodyLimit {
                #expect(delivery.body == body)
                #expect(!delivery.isOversize)
            } else {
                #expect(delivery.isOversize && delivery.body.isEmpty)
            }
            try wire.delete(queue)
        }

        @Test func hundredChannelsInterleaved() throws {
            let wire = try Wire(channels: 100)
            let connection = wire.connection
            let queue = Wire.uniqueName()
            for channel in 1...100 as ClosedRange<UInt16> {
                try wire.declare("\(queue).\(channel)", on: channel)
                try connection.basicConsume(channel, "\(queue).\(channel)", tag: "\(channel)", nowait: true)
            }
            let tail = [UInt8](repeating: 3, count: 5000)
            for round in 0..<50 as Range<UInt8> {
                connection.beginBatch()
                for channel in 1...100 as ClosedRange<UInt16> {
                    try connection.basicPublish(
                        101 - channel, exchange: "", routingKey: "\(queue).\(channel)",
                        body: [round, UInt8(channel)] + tail)
                }
                connection.flush()
            }
            var next = [UInt8](repeating: 0, count: 101)
            for _ in 0..<5000 {
                guard case .delivery(let channel, let delivery) = try wire.next() else {
                    throw ConnectionFailure(.timedOut("a delivery is missing"))
                }
                #expect(delivery.consumerTag == "\(channel)")
                #expect(delivery.body.prefix(2) == [next[Int(channel)], UInt8(channel)] && delivery.body.count == 5002)
                next[Int(channel)] += 1
                try connection.basicAck(channel, deliveryTag: delivery.deliveryTag)
            }
            for channel in 1...100 as ClosedRange<UInt16> { try wire.delete("\(queue).\(channel)") }
            connection.close()
        }
    }
}

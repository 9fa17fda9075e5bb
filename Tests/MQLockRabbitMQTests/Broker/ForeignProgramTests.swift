import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// A program in another language joins a lock: all that it knows is the article and its vectors.
    @Suite struct ForeignProgramTests {
        private let vectors: ProtocolVectors

        init() throws { vectors = try ProtocolVectors.all.get() }
    }
}

extension LiveBrokerTests.ForeignProgramTests {
    @Test(arguments: RabbitMQLocks.Mutex.allCases)
    func sharesALockWithUs(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: mutex)
            let others = try broker.locks(mutex: mutex)
            let foreign = ForeignContender(name.string, mutex.description, vectors)
            // It comes first and has to make what there has to be, then it finds what we made of it.
            var last: UInt64 = 0
            for _ in 0..<3 {
                let visit = ForeignVisit(broker.uri, foreign)
                let token = try await visit.token.value(within: .seconds(60), "the foreign program's grant").get()
                #expect(token > last)
                #expect(try await locks.tryAcquire(name) == nil, "the foreign program holds it")
                let ours = Contender(others, name)
                try await eventually("we stand in line") { try await broker.consumers(of: foreign.waitingLine) == 2 }
                visit.leave()
                let lease = try await ours.lease()
                #expect(try await visit.hasLeft.value(within: .seconds(60), "the foreign program's release") == nil)
                #expect(lease.fencingToken.rawValue > token)
                last = lease.fencingToken.rawValue
                #expect(try await ours.release() == nil)
            }
            await locks.shutdown()
            await others.shutdown()
        }
    }

    /// What it declares with another mutex's arguments is refused, and the other way round.
    @Test func meetsAnotherMutexOnTheSameQueue() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .token)
            try await locks.acquire(name).release()
            let foreign = ForeignContender(name.string, "sac", vectors)
            #expect {
                try ForeignClient.run(broker.uri) { try foreign.declareQueue($0) }
            } throws: {
                ($0 as? ForeignClient.Refused)?.code == 406
            }
            await locks.shutdown()
        }
    }
}

/// The foreign program's one acquire, on a thread of its own.
private final class ForeignVisit: Sendable {
    let token = OneShot<Result<UInt64, any Error>>()
    let hasLeft = OneShot<String?>()
    private let mayLeave = DispatchSemaphore(value: 0)

    init(_ uri: String, _ contender: ForeignContender) {
        Thread.detachNewThread { [self] in
            do {
                // Two connections, as the article says: one for the lock, and one that publishes.
                try ForeignClient.run(uri) { client in
                    try ForeignClient.run(uri) { publisher in
                        var visitor = try ForeignVisitor(contender, client, publisher)
                        let fence = try visitor.acquire()
                        try visitor.hold()
                        token.fulfil(.success(fence))
                        // A test that has forgotten it is not held up for ever.
                        _ = mayLeave.wait(timeout: .now() + 120)
                        try visitor.release()
                    }
                }
                hasLeft.fulfil(nil)
            } catch {
                token.fulfil(.failure(error))
                hasLeft.fulfil("\(error)")
            }
        }
    }

    func leave() { mayLeave.signal() }
}

/// What the article tells a program to use, in text: none of the module's own names, messages or numbers.
private struct ForeignContender: Sendable {
    struct Misunderstanding: Error {
        let what: String
    }

    let mutex: String
    let queue, register, line: String
    let exchange: ProtocolVectors.Exchange
    private let declarations: [String: [ProtocolVectors.Queue]]

    init(_ name: String, _ mutex: String, _ vectors: ProtocolVectors) {
        // The test's names have no bytes to encode.
        (queue, register, line) = ("mqlock.v1/\(name)", "mqlock.v1.seeded/\(name)", "mqlock.v1.line/\(name)")
        self.mutex = mutex
        exchange = vectors.exchange
        declarations = Dictionary(grouping: vectors.queues.filter { $0.mutex == mutex }, by: \.object)
    }

    /// Where whoever waits is a consumer.
    var waitingLine: String { mutex == "exclusive" ? line : queue }

    func declareQueue(_ client: ForeignClient) throws {
        _ = try declare(client, try client.openChannel(), queue, as: "queue")
    }

    /// Whether the queue shows neither message nor consumer.
    func declare(
        _ client: ForeignClient, _ channel: UInt16, _ name: String, as object: String, nonce: String? = nil
    ) throws -> Bool {
        let sample = (client.brokerVersion?.first).map { $0 < "4" ? "3.10.8" : "4.0.0" }
        guard let vector = declarations[object]?.first(where: { $0.brokers.contains(sample) }) else {
            throw Misunderstanding(what: "no vector for \(object) on \(sample ?? "an unknown version")")
        }
        // Other languages choose the width of an integer by themselves.
        var arguments = vector.pairs.mapValues { (value: FieldValue) -> FieldValue in
            guard case .int64(let number) = value, let narrow = Int32(exactly: number) else { return value }
            return .int32(narrow)
        }
        if let nonce { arguments["x-dead-letter-routing-key"] = .string(nonce) }
        let isNew = try client.declare(
            channel, name, durable: vector.durable, exclusive: vector.exclusive, arguments: arguments)
        if vector.bound { try client.bind(channel, name, to: exchange.name, key: name) }
        return isNew
    }
}

/// What the article tells a program to do.
private struct ForeignVisitor {
    private let contender: ForeignContender
    private let client, publisher: ForeignClient
    private let publishing: UInt16
    /// The channel in whose line it stands, and that of the exclusive queue.
    private var channel: UInt16 = 0
    private var claim: UInt16 = 0
    private var token: Delivery?

    init(_ contender: ForeignContender, _ client: ForeignClient, _ publisher: ForeignClient) throws {
        (self.contender, self.client, self.publisher) = (contender, client, publisher)
        publishing = try publisher.openChannel()
        try publisher.confirm(publishing)
    }

    mutating func acquire() throws -> UInt64 {
        switch contender.mutex {
        case "sac": return try standFirst(in: contender.queue, as: "queue")
        case "exclusive":
            let fence = try standFirst(in: contender.line, as: "line")
            claim = try client.openChannel()
            _ = try contender.declare(client, claim, contender.queue, as: "queue")
            try client.consume(claim, contender.queue, noAck: true)
            return fence
        default: return try receiveToken()
        }
    }

    /// What a holder may do besides: exchange the token, drop one too many, have the queue prove itself.
    mutating func hold() throws {
        guard contender.mutex != "token", let old = token else { return }
        let body = body("line", max(clock, try fence(old) + 32), after: try fence(old))
        try publish(body, to: contender.waitingLine)
        let fresh = try client.nextDelivery(channel)
        guard text(fresh) == body, !fresh.redelivered else { throw misread(fresh) }
        try client.acknowledge(channel, old)
        token = fresh

        try publish(self.body("line", clock), to: contender.waitingLine)
        try client.acknowledge(channel, try client.nextDelivery(channel))

        guard contender.mutex == "sac" else { return }
        try publish(self.body("proof", 0), to: contender.queue)
        var companion = try client.nextDelivery(channel)
        for count in 1...3 {
            try client.putBack(channel, companion)
            companion = try client.nextDelivery(channel)
            guard returns(companion) == count else { throw misread(companion) }
        }
    }

    func release() throws {
        if contender.mutex == "exclusive" { try client.delete(claim, contender.queue) }
        try client.closeChannel(channel)
    }

    // MARK: The line

    private mutating func standFirst(in queue: String, as object: String) throws -> UInt64 {
        channel = try client.openChannel(prefetch: 8)
        try client.declareExchange(channel, contender.exchange)
        if try contender.declare(client, channel, queue, as: object) { try publish(body("line", clock), to: queue) }
        try client.consume(channel, queue)
        var delivery = try client.nextDelivery(channel)
        // An earlier holder's companion is no token.
        while text(delivery).hasPrefix("mqlock.v1 proof ") {
            try client.acknowledge(channel, delivery)
            delivery = try client.nextDelivery(channel)
        }
        token = delivery
        return try fence(delivery)
    }

    // MARK: The token

    private mutating func receiveToken() throws -> UInt64 {
        let (queue, register) = (contender.queue, contender.register)
        channel = try client.openChannel(prefetch: 1)
        try client.declareExchange(channel, contender.exchange)
        let isSeeded = try client.exists(register)
        _ = try contender.declare(client, channel, queue, as: "queue")
        if !isSeeded {
            let seed = body("token", clock)
            try publish(seed, to: queue)
            _ = try contender.declare(client, channel, register, as: "register", nonce: nonce(seed))
        }
        try publish(body("token", 0), to: register)
        try client.consume(channel, register, noAck: true)
        try client.consume(channel, queue)
        var delivery = try client.nextDelivery(channel)
        // What is in the register means nothing.
        while delivery.routingKey != queue { delivery = try client.nextDelivery(channel) }
        _ = try contender.declare(
            client, try client.openChannel(), register, as: "register", nonce: nonce(text(delivery)))
        return try fence(delivery)
    }

    // MARK: Messages

    private func publish(_ body: String, to queue: String) throws {
        // Properties and headers are for people, and for versions to come.
        var properties = MessageProperties(contentType: "application/json", deliveryMode: 2)
        properties.headers = ["x-other": "value"]
        try publisher.publish(publishing, body, to: contender.exchange.name, key: queue, properties)
    }

    private func body(_ word: String, _ number: UInt64, after: UInt64 = 0) -> String {
        "mqlock.v1 \(word) \(number) \(UUID().uuidString.lowercased().replacing("-", with: ""))"
            + (word == "line" ? " \(after)" : "")
    }

    private var clock: UInt64 { UInt64(Date().timeIntervalSince1970 * 1000 - 1_767_225_600_000) << 21 }

    private func text(_ delivery: Delivery) -> String { String(decoding: delivery.body, as: UTF8.self) }

    private func nonce(_ body: String) -> String { String(body.split(separator: " ").last ?? "") }

    private func returns(_ delivery: Delivery) -> UInt64 {
        let headers = delivery.properties.headers
        return UInt64((headers["x-acquired-count"] ?? headers["x-delivery-count"])?.integer ?? 0)
    }

    private func fence(_ delivery: Delivery) throws -> UInt64 {
        let words = text(delivery).split(separator: " ")
        let word = contender.mutex == "token" ? "token" : "line"
        guard delivery.exchange == contender.exchange.name, words.count == (word == "line" ? 5 : 4),
            words[0] == "mqlock.v1",
            words[1] == word, let number = UInt64(words[2])
        else { throw misread(delivery) }
        return number + 32 * returns(delivery)
    }

    private func misread(_ delivery: Delivery) -> ForeignContender.Misunderstanding {
        .init(what: "\(text(delivery)), returned \(returns(delivery)) times")
    }
}

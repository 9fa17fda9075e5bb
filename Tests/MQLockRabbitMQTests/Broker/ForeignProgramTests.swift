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
    @Test(arguments: RabbitMQLocks.Mutex.allCases, [RabbitMQLocks.Durability.replicated, .fast])
    func sharesALockWithUs(_ mutex: RabbitMQLocks.Mutex, _ durability: RabbitMQLocks.Durability) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: mutex) { $0.durability = durability }
            let others = try broker.locks(mutex: mutex) { $0.durability = durability }
            let foreign = ForeignContender(name.string, mutex.description, durability.description, vectors)
            // It comes first and has to make what there has to be, then it finds what we made of it.
            var last: UInt64 = 0
            for round in 0..<3 {
                let visit = ForeignVisit(broker.uri) {
                    try foreign.acquire($0, isFirst: round == 0)
                } release: {
                    try foreign.release($0)
                }
                let token = try await visit.token.value(within: .seconds(60), "the foreign program's grant").get()
                #expect(token > last)
                #expect(try await locks.tryAcquire(name) == nil, "the foreign program holds it")
                let ours = Contender(others, name)
                try await eventually("we stand in line") { try await broker.consumers(of: foreign.waitingLine) == 2 }
                visit.leave()
                let lease = try await ours.lease()
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
            let foreign = ForeignContender(name.string, "sac", "replicated", vectors)
            #expect {
                try broker.raw { try foreign.join($0) }
            } throws: {
                ($0 as? RawClient.Refused)?.code == ChannelFault.preconditionFailed
            }
            await locks.shutdown()
        }
    }
}

/// The foreign program's one acquire, on a thread of its own.
private final class ForeignVisit: Sendable {
    let token = OneShot<Result<UInt64, any Error>>()
    private let mayLeave = DispatchSemaphore(value: 0)

    init(
        _ uri: String, _ acquire: @escaping @Sendable (RawClient) throws -> UInt64,
        release: @escaping @Sendable (RawClient) throws -> Void
    ) {
        Thread.detachNewThread { [self] in
            do {
                try RawClient.run(uri) { client in
                    token.fulfil(.success(try acquire(client)))
                    // A test that has forgotten it is not held up for ever.
                    _ = mayLeave.wait(timeout: .now() + 120)
                    try release(client)
                }
            } catch {
                token.fulfil(.failure(error))
            }
        }
    }

    func leave() { mayLeave.signal() }
}

/// What the article tells a program to do, in text: none of the module's own names, messages or numbers.
private struct ForeignContender: Sendable {
    struct Misunderstanding: Error {
        let what: String
    }

    let mutex: String
    let queue: String
    private let register, line, fence: String
    private let isFast: Bool
    private let declarations: [String: [ProtocolVectors.Queue]]

    init(_ name: String, _ mutex: String, _ durability: String, _ vectors: ProtocolVectors) {
        // The test's names have no bytes to encode.
        (queue, register) = ("mqlock.v1/\(name)", "mqlock.v1.seeded/\(name)")
        (line, fence) = ("mqlock.v1.line/\(name)", "mqlock.v1.fence/\(name)")
        self.mutex = mutex
        isFast = durability == "fast"
        let queues = vectors.queues.filter { $0.mutex == mutex && $0.durability.contains(durability) }
        declarations = Dictionary(grouping: queues, by: \.object)
    }

    /// Where whoever waits is a consumer.
    var waitingLine: String { mutex == "exclusive" ? line : queue }

    func acquire(_ client: RawClient, isFirst: Bool) throws -> UInt64 {
        if mutex == "exclusive" { return try own(client, isFirst) }
        try join(client)
        return mutex == "sac"
            ? try outnumber(queue, "sac", first: isFirst ? "seed" : nil, client) : try receive(client, isFirst)
    }

    func join(_ client: RawClient) throws { try declare(queue, as: "queue", client) }

    func release(_ client: RawClient) throws {
        if mutex == "exclusive" { try client.delete(queue) }
        try client.closeChannel()
    }

    // MARK: Exclusive queue

    private func own(_ client: RawClient, _ isFirst: Bool) throws -> UInt64 {
        try declare(line, as: "line", client)
        if isFirst { try publish("turn", 0, freshNonce, to: line, client) }
        _ = try read(try client.firstDelivery(from: line, prefetch: 8), word: "turn")
        try declare(queue, as: "queue", client)
        try declare(fence, as: "fence", client)
        return try outnumber(fence, "fence", first: isFirst ? "fence" : nil, client)
    }

    // MARK: Single active consumer

    /// - Parameter first: the word of the message that has to be put into the queue first, if any.
    private func outnumber(_ queue: String, _ word: String, first: String?, _ client: RawClient) throws -> UInt64 {
        if let first { try publish(first, seedNumber, freshNonce, to: queue, client) }
        let kept = try client.firstDelivery(from: queue, prefetch: 8)
        let number = try read(kept, word: first ?? word).number + 32
        let own = try client.publishToOurselves(
            body(word, number, freshNonce), to: queue, properties: MessageProperties())
        guard !own.redelivered else { throw Misunderstanding(what: "our own token came redelivered") }
        try client.acknowledge(kept)
        return number
    }

    // MARK: Token

    private func receive(_ client: RawClient, _ isFirst: Bool) throws -> UInt64 {
        if isFirst {
            let nonce = freshNonce
            try publish("token", seedNumber, nonce, to: queue, client)
            try declareRegister(nonce, client)
        }
        let delivery = try client.firstDelivery(from: queue, prefetch: 1)
        let (number, nonce) = try read(delivery, word: "token")
        try declareRegister(nonce, client)
        let headers = delivery.properties.headers
        if isFast {
            // Its own release is the channel's end: after that somebody else mints, and what comes here has been handed on.
            guard !delivery.redelivered else { throw Misunderstanding(what: "a token that was not minted anew") }
            let deaths = headers["x-death"]?.array?.compactMap(\.table) ?? []
            let own = deaths.first { $0["queue"]?.string == queue && $0["reason"]?.string == "rejected" }
            return number + 32 * UInt64(own?["count"]?.integer ?? 0)
        }
        let count = (headers["x-acquired-count"] ?? headers["x-delivery-count"])?.integer ?? 0
        return number + 32 * UInt64(count)
    }

    private func declareRegister(_ nonce: String, _ client: RawClient) throws {
        try declare(register, as: "register", client) { $0["x-dead-letter-routing-key"] = .string(nonce) }
    }

    // MARK: Frames

    private func declare(
        _ name: String, as object: String, _ client: RawClient,
        _ change: (inout [String: FieldValue]) -> Void = { _ in }
    ) throws {
        let sample = (client.brokerVersion?.first).map { $0 < "4" ? "3.10.8" : "4.0.0" }
        guard let vector = declarations[object]?.first(where: { $0.brokers.contains(sample) }) else {
            throw Misunderstanding(what: "no vector for \(object) on \(sample ?? "an unknown version")")
        }
        // Other languages choose the width of an integer by themselves.
        var arguments = vector.pairs.mapValues { (value: FieldValue) -> FieldValue in
            guard case .int64(let number) = value, let narrow = Int32(exactly: number) else { return value }
            return .int32(narrow)
        }
        // The vectors' queues are those of the name job.
        for (key, value) in arguments where value == .string("mqlock.v1/job") { arguments[key] = .string(queue) }
        change(&arguments)
        try client.declare(name, durable: vector.durable, exclusive: vector.exclusive, arguments: arguments)
    }

    private func publish(
        _ word: String, _ number: UInt64, _ nonce: String, to queue: String, _ client: RawClient
    ) throws {
        // Properties and headers are for people, and for versions to come.
        var properties = MessageProperties(contentType: "application/json", deliveryMode: 2)
        properties.headers = ["x-other": "value"]
        try client.publish(body(word, number, nonce), to: queue, properties: properties)
    }

    private func body(_ word: String, _ number: UInt64, _ nonce: String) -> [UInt8] {
        Array("mqlock.v1 \(word) \(number) \(nonce)".utf8)
    }

    private func read(_ delivery: Delivery, word: String) throws -> (number: UInt64, nonce: String) {
        let words = String(decoding: delivery.body, as: UTF8.self).split(separator: " ").map(String.init)
        guard words.count == 4, words[0] == "mqlock.v1", words[1] == word, let number = UInt64(words[2]) else {
            throw Misunderstanding(what: words.joined(separator: " "))
        }
        return (number, words[3])
    }

    private var seedNumber: UInt64 {
        UInt64(Date().timeIntervalSince1970 * 1000 - 1_767_225_600_000) << 21
    }

    private var freshNonce: String { UUID().uuidString.lowercased().replacing("-", with: "") }
}

import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Messages in a lock's queue that do not belong there.
    @Suite struct ForeignMessageTests {}
}

extension LiveBrokerTests.ForeignMessageTests {
    private static var number: UInt64 { (try? TokenNumber.seed(above: nil)) ?? 0 }

    private static let forgeries: [(String, [UInt8])] = [
        ("empty", []), ("garbage", Array("hello".utf8)), ("bytes", [0, 255, 254, 0, 13, 10]),
        ("huge number", Array("mqlock.v1 token 99999999999999999999999999 \(Nonce())".utf8)),
        ("negative", Array("mqlock.v1 token -1 \(Nonce())".utf8)),
        ("other version", Array("mqlock.v2 token 1 \(Nonce())".utf8)),
        ("another nonce", TokenMessage(number: number, nonce: Nonce()).payload),
        ("another nonce, far ahead", TokenMessage(number: .max, nonce: Nonce()).payload),
        ("oversized", [UInt8](repeating: UInt8(ascii: "x"), count: 3_000_000)),
    ]

    /// Put there while the lock is free: behind the token.
    @Test func behindTheToken() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let log = EventLog()
            let (locks, others) = (try broker.locks(), try broker.locks(observer: log))
            let queue = try broker.objects(name).queue
            let first = try await locks.acquire(name, within: .seconds(20))
            // While it is held they are all there is in the queue: the waiter meets them first.
            try broker.raw { client in for (_, body) in Self.forgeries { try client.publish(body, to: queue) } }
            let waiter = Contender(others, name)
            for index in Self.forgeries.indices {
                _ = try await log.first(.foreign, after: 0) { $0.name == name }
                try await eventually("\(index + 1) foreign messages reported") {
                    log.events.filter { $0.kind == .foreign }.count > index
                }
            }
            #expect(log.events.filter { $0.kind == .foreign }.count == Self.forgeries.count)
            #expect(waiter.outcome.current == nil, "nothing of that was a grant")
            let token = first.lease.fencingToken
            try await first.release()
            #expect(try await waiter.lease().fencingToken > token)
            #expect(try await waiter.release() == nil)
            try await eventually("one message, the token") { try broker.raw { try $0.counts(queue)?.messages } == 1 }
            await locks.shutdown()
            await others.shutdown()
        }
    }

    private static func tryOnce(_ locks: RabbitMQLocks, _ name: LockName) async throws -> FencingToken? {
        guard let held = try await locks.tryAcquire(name) else { return nil }
        let token = held.lease.fencingToken
        try await held.release()
        return token
    }

    /// Ahead of the token: a forgery that a try-acquire gets first is dropped, and the lock still granted.
    @Test func aheadOfTheToken() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let log = EventLog()
            let locks = try broker.locks(observer: log)
            let queue = try broker.objects(name).queue
            for (_, body) in Self.forgeries.prefix(3) {
                let held = try await locks.acquire(name, within: .seconds(20))
                try broker.raw { try $0.publish(body, to: queue) }
                try await held.release()
                // The release may not have reached the broker yet.
                try await eventually("a try is granted") { try await Self.tryOnce(locks, name) != nil }
            }
            await locks.shutdown()
        }
    }

    /// Numbers from the far future that nobody was granted, as a host with a wrong clock publishes them: never believed, and
    /// the name goes on.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func farAheadAndNeverGranted(
        _ mutex: RabbitMQLocks.Mutex
    ) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let log = EventLog()
            let locks = try broker.locks(mutex: mutex, observer: log)
            let objects = try broker.objects(name)
            let queue = mutex == .exclusiveQueue ? objects.line : objects.queue
            let first = try await locks.acquire(name, within: .seconds(20))
            let good = first.lease.fencingToken
            try await first.release()
            for ahead in [2 * 24 * 60 * 60 * 1000 << 21, UInt64.max / 4] as [UInt64] {
                let number = good.rawValue + ahead
                try await eventually("the token back in the queue") {
                    try broker.raw { try $0.counts(queue)?.messages } == 1
                }
                var forged = LineMessage.token(number, Nonce(), after: 0).payload
                if mutex == .token {
                    let body = try #require(try broker.raw { try $0.peek(queue) })
                    let text = try #require(MessageText(payload: body))
                    forged = TokenMessage(number: number, nonce: text.nonce).payload
                }
                try broker.raw { client in
                    try client.purge(queue)
                    try client.publish(
                        forged, exchange: ObjectNames.exchange, key: queue, properties: MessageProperties())
                }
                let count = log.events.count
                let next = try await locks.acquire(name, within: .seconds(30))
                #expect(next.lease.fencingToken > good && next.lease.fencingToken.rawValue < number)
                try await next.release()
                _ = try await log.first(.foreign, after: count) { $0.detail?.contains("a day ahead") == true }
            }
            await locks.shutdown()
        }
    }

    /// One that somebody may have been granted: loud, for a smaller number would come after it.
    @Test func farAheadAndReturned() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks()
            let queue = try broker.objects(name).queue
            let held = try await locks.acquire(name, within: .seconds(20))
            let good = held.lease.fencingToken
            try await held.release()
            // A release is written, not answered.
            try await eventually("the token back in the queue") {
                try broker.raw { try $0.counts(queue)?.messages } == 1
            }
            let body = try #require(try broker.raw { try $0.peek(queue) })
            let token = try #require(MessageText(payload: body).flatMap(TokenMessage.init))
            // Two days ahead, in milliseconds shifted left by 21 bits.
            let ahead = good.rawValue + UInt64(2 * 24 * 60 * 60 * 1000) << 21
            let forged = TokenMessage(number: ahead, nonce: token.nonce)
            try broker.raw { client in
                try client.purge(queue)
                try client.publish(
                    forged.payload, exchange: ObjectNames.exchange, key: queue, properties: MessageProperties())
                _ = try client.peek(queue)
            }
            let error = try #require(try await Contender(locks, name, within: .seconds(20)).failure())
            #expect(error.code == .tokenRegression, "\(error)")
            #expect(error.message.contains("more than a day ahead"), "\(error)")
            await locks.shutdown()
        }
    }
}

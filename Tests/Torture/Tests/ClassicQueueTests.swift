import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// Locks in classic queues (`durability=fast`), whose broker counts less and forgets more.
    @Suite struct ClassicQueueTests {}
}

extension TortureTests.ClassicQueueTests {
    private static let query = "heartbeat=1&durability=fast"

    /// Whose holder died comes back redelivered, with a count that says nothing: it is minted anew.
    @Test func aDeadHoldersTokenIsMintedAnew() async throws {
        let node = try await PrivateNode.shared()
        var measured: [Duration] = []
        for _ in 1...3 {
            try await node.broker.withName { name in
                let uri = "\(node.broker.uri)?\(Self.query)"
                let holder = try WorkerProcess("hold", uri, name, "token")
                let first = try await holder.line("granted")
                // More than one: the minted token may come to another than the minter.
                let waiters = try (0..<3).map { _ in try node.broker.locks(Self.query) }
                var waiting = waiters.map { Contender($0, name) }
                try await node.broker.waitForLine(of: name, waiting.count)
                let before = try nonce(node.broker, name)
                let killed = try await holder.killNow()
                var last = try #require(UInt64(first[1]))
                while !waiting.isEmpty {
                    try await eventually(within: .seconds(60), every: .milliseconds(1), "a waiter's grant") {
                        waiting.contains { $0.outcome.current != nil }
                    }
                    let granted = waiting.filter { $0.outcome.current != nil }
                    #expect(granted.count == 1, "one holder at a time")
                    let lease = try await granted[0].lease()
                    if waiting.count == waiters.count {
                        measured.append(.nanoseconds(Boot.nanoseconds(lease.record.grantedAt) - killed))
                        #expect(try nonce(node.broker, name) != before, "the register names another token")
                    }
                    #expect(lease.fencingToken.rawValue > last, "tokens grow")
                    last = lease.fencingToken.rawValue
                    #expect(try await granted[0].release() == nil)
                    waiting.removeAll { $0 === granted[0] }
                }
                for locks in waiters { await locks.shutdown() }
            }
        }
        print("token in classic queues, hand-over after SIGKILL: \(measured.map(\.readable).joined(separator: ", "))")
    }

    /// The register's nonce, as the broker says it to whoever declares another one.
    private func nonce(_ broker: LiveBroker, _ name: LockName) throws -> String {
        let register = try broker.objects(name).register
        do {
            try broker.raw { try $0.declare(register, arguments: QueueArguments.register(Nonce(), .fast).pairs) }
        } catch let error as RawClient.Refused {
            return error.description.components(separatedBy: "but current is ").last ?? ""
        }
        throw Overdue(what: "a register that refuses", limit: .zero)
    }

    /// kill -9 takes the count of a classic queue back (3.10.8: 367 to 0). What would repeat numbers is minted anew from
    /// the clock: of a lock that was held, and of one that was free.
    @Test func aKillOfTheBrokerTakesNothingBack() async throws {
        let node = try await PrivateNode.shared()
        let names = try ["held", "free"].map { try LockName("test/killed/\($0)/\(UInt64.random(in: 0 ... .max))") }
        defer { node.broker.clean(names) }
        let providers = try (0..<2).map { _ in try node.broker.locks(Self.query) }
        var last: [LockName: FencingToken] = [:]
        for name in names { last[name] = try await grant(of: name, providers[0], above: nil) }
        // The broker may lose a queue that it declared in the second before it is killed, and with it the whole case.
        try await Task.sleep(for: .seconds(2))
        for round in 0..<120 {
            let name = names[round % 2]
            last[name] = try await grant(of: name, providers[round / 2 % 2], above: last[name])
        }
        let holder = Contender(providers[0], names[0])
        last[names[0]] = try await holder.lease().fencingToken
        try await node.crash()
        #expect(try await holder.lease().lossReason()?.kind == .connectionClosed)
        try await node.start()
        // Programs that have seen nothing of it: nobody's memory helps.
        for _ in 0..<3 {
            let stranger = try node.broker.locks(Self.query)
            for name in names { last[name] = try await grant(of: name, stranger, above: last[name]) }
            await stranger.shutdown()
        }
        for locks in providers { await locks.shutdown() }
    }

    /// Takes and releases; returns the token.
    private func grant(
        of name: LockName, _ locks: RabbitMQLocks, above last: FencingToken?
    ) async throws -> FencingToken {
        let contender = Contender(locks, name)
        let token = try await contender.lease().fencingToken
        if let last { #expect(token > last, "\(name)") }
        #expect(try await contender.release() == nil)
        return token
    }
}

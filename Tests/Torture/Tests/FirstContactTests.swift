import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// Several programs meet on names that nobody knew before.
    @Suite struct FirstContactTests {}
}

extension TortureTests.FirstContactTests {
    /// What each program holds already does not suffer. RabbitMQ 3.10.8 tells a second declarer that a quorum queue is
    /// there as soon as it is recorded, and ends the whole connection that consumes before its process has started (541,
    /// badmatch noproc in rabbit_quorum_queue:consume/3).
    @Test func whatIsHeldSurvivesThem() async throws {
        let node = try await PrivateNode.shared()
        for mutex in MutexUnderTest.allCases {
            let run = "test/first/\(UInt64.random(in: 0 ... .max))"
            let programs = try (1...5).map { _ in try node.broker.locks("heartbeat=10") { mutex.configure(&$0) } }
            let held = try programs.indices.map { Contender(programs[$0], try LockName("\(run)/held/\($0)")) }
            for contender in held { _ = try await contender.lease() }
            let names = try (1...40).map { try LockName("\(run)/\($0)") }
            let meeting = programs.flatMap { locks in names.map { Contender(locks, $0) } }
            for contender in meeting {
                Task { if try await contender.failure(within: .seconds(120)) == nil { try await contender.release() } }
            }
            for contender in meeting { _ = try await contender.released.value(within: .seconds(120), "a release") }
            var lost = 0
            for contender in held {
                guard let error = try await contender.release() else { continue }
                print("\(mutex): \(error)")
                lost += 1
            }
            #expect(lost == 0, "\(mutex): of \(held.count) sessions")
            for locks in programs { await locks.shutdown() }
            node.broker.clean(names + held.map(\.name))
        }
    }
}

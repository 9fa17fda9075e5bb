import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// The semaphore and the read-write lock on every mutex of the broker.
    @Suite struct PermitsTests {}
}

extension LiveBrokerTests.PermitsTests {
    typealias Suite = SlotsSuite<RabbitMQLocks>

    /// Without faults of the network: the torture tests have those.
    private func subject(
        _ mutex: RabbitMQLocks.Mutex, _ broker: LiveBroker, _ names: Locked<[LockName]>
    ) -> ConformanceSubject<RabbitMQLocks> {
        var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(6)) { options in
            try broker.locks("heartbeat=5", mutex: mutex, observer: options.observer)
        }
        subject.close = { await $0.shutdown() }
        subject.makeName = {
            let name = try? LockName("test/permits/\(UInt64.random(in: 0 ... .max))")
            guard let name else { preconditionFailure("digits make a name") }
            names.withLock { $0.append(name) }
            return name
        }
        // A queue of another connection's is only an administrator's to delete.
        if mutex != .exclusiveQueue {
            subject.faults.deleteObjects = { name in
                let objects = try broker.objects(name)
                try broker.raw { client in
                    try client.delete(objects.queue)
                    if mutex == .token { try client.delete(objects.register) }
                }
            }
        }
        return subject
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases, Suite.Check.allCases)
    func theyKeepTheirPromises(_ mutex: RabbitMQLocks.Mutex, _ check: Suite.Check) async throws {
        let broker = try LiveBrokerTests.broker()
        let names = Locked<[LockName]>([])
        var effort = Suite.Effort()
        effort.rounds = LiveBroker.isFullRun ? 60 : 8
        effort.calm = .milliseconds(200)
        effort.seed = TestSeed.next()
        // The broker deletes first and notifies then: a slot could be granted again in between.
        effort.hearsOfDeletions = false
        let suite = Suite(subject(mutex, broker, names), effort: effort)
        do {
            let leftOut = try await suite.run(check)
            #expect(leftOut == nil || mutex == .exclusiveQueue && check == .readWriteLoss, "\(leftOut ?? "")")
        } catch {
            Issue.record("\(mutex), \(check): \(error), MQLOCK_SEED=\(effort.seed)")
        }
        for name in names.withLock({ $0 }) { try clean(name, slots: 4, broker) }
    }

    /// Over one connection: there are many.
    private func clean(_ name: LockName, slots: Int, _ broker: LiveBroker) throws {
        try broker.raw { client in
            for part in ["turnstile", "beside"] + (0..<slots).map(String.init) {
                for queue in try broker.objects(LockName("\(name.string)/\(part)")).all { try? client.delete(queue) }
            }
        }
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases)
    func nobodyIsBesideAWriterAndNobodyStarves(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let processes = try (0..<4).map { _ in try broker.locks("heartbeat=10", mutex: mutex) }
            var load = ReadersAndWriters()
            load.duration = LiveBroker.isFullRun ? .seconds(30) : .seconds(2)
            let report = try await load.run(name, on: processes)
            print("\(mutex): \(report)")
            #expect(report.violations.isEmpty, "\(report.violations.prefix(3))")
            for side in [report.reading, report.writing] {
                #expect(side.count > 0)
                // Everybody was there before: all others once, and as many again for those who were past the turnstile.
                #expect(side.mostAdmitted <= 2 * (load.readers + load.writers), "\(report)")
            }
            for locks in processes { await locks.shutdown() }
            try clean(name, slots: load.slots, broker)
        }
    }
}

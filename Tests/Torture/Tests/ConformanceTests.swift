import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// The rules of the lock protocol, put to each mutex on a real broker.
    @Suite struct ConformanceTests {}
}

extension TortureTests.ConformanceTests {
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func theMutexConforms(_ mutex: RabbitMQLocks.Mutex) async throws {
        try await check(mutex)
    }

    /// Sessions that end and queues that are deleted while semaphores and read-write locks are waited for and held.
    @Test(arguments: RabbitMQLocks.Mutex.allCases, [SlotsSuite<RabbitMQLocks>.Check.semaphoreRun, .readWriteRun])
    func theMutexCarriesWhatIsComposedOfIt(
        _ mutex: RabbitMQLocks.Mutex, _ check: SlotsSuite<RabbitMQLocks>.Check
    ) async throws {
        var effort = SlotsSuite<RabbitMQLocks>.Effort()
        effort.rounds = LiveBroker.isFullRun ? 100 : 20
        effort.longestWait = .milliseconds(100)
        effort.calm = .milliseconds(500)
        effort.seed = TestSeed.next()
        effort.hearsOfDeletions = false
        let node = try await PrivateNode.shared()
        let suite = SlotsSuite(
            Self.subject(mutex, on: node, restart: JointRestart(of: node, parties: 1)), effort: effort)
        do {
            #expect(try await suite.run(check) == nil)
        } catch {
            Issue.record("\(mutex), \(check): \(error), MQLOCK_SEED=\(effort.seed)")
        }
    }

    private static let reports = Locked<Task<[RabbitMQLocks.Mutex: ConformanceReport], any Error>?>(nil)

    /// Whoever asks first has all mutexes put to the rules: what is mostly waiting, together.
    private func check(_ mutex: RabbitMQLocks.Mutex) async throws {
        let run = Self.reports.withLock { reports in
            if let run = reports { return run }
            let run = Task { try await Self.runAll() }
            reports = run
            return run
        }
        let report = try #require(try await run.value[mutex])
        print("\(mutex)\n\(report)")
        // Now, not when the buffer is full: among the lines of the test it belongs to.
        fflush(nil)
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.compactMap { entry in
            if case .leftOut(let why) = entry.outcome { "\(entry.check): \(why)" } else { nil }
        }
        // A frame cannot get lost within a TCP stream that goes on; a provider in the tests' own process cannot be
        // stopped alone (HolderFaultTests stops one in another); and the broker counts no requests. Beside that only what
        // the capabilities except.
        let exempt = leftOut.count { $0.contains("by its capabilities") }
        #expect(leftOut.count == 3 + exempt, "\(leftOut)")
        #expect(exempt == 0, "\(leftOut)")
    }

    private static func runAll() async throws -> [RabbitMQLocks.Mutex: ConformanceReport] {
        let node = try await PrivateNode.shared()
        let restart = JointRestart(of: node, parties: RabbitMQLocks.Mutex.allCases.count)
        let suites = RabbitMQLocks.Mutex.allCases.map { ($0, LockConformance(subject($0, on: node, restart: restart))) }
        // Silent sessions are waited for, and cost nothing else.
        let patient: Set<ConformanceRule> = [.lossIsReported, .localFirst]
        var reports = await together(suites) { await $0.run(patient) }
        let tokens = await together(suites) { suite in
            let report = await suite.run([.tokens])
            await restart.leave()
            return report
        }
        // One after the other, so that what is quick stays quick and no mutex is starved by another's thousand names.
        for (kind, suite) in suites {
            let rest = await suite.run(Set(ConformanceRule.allCases).subtracting(patient).subtracting([.tokens]))
            let parts = [reports[kind], tokens[kind], rest].compactMap(\.self)
            reports[kind] = ConformanceReport(mutex: rest.mutex, entries: parts.flatMap(\.entries))
        }
        return reports
    }

    private static func together(
        _ suites: [(RabbitMQLocks.Mutex, LockConformance<RabbitMQLocks>)],
        _ body: @escaping @Sendable (LockConformance<RabbitMQLocks>) async -> ConformanceReport
    ) async -> [RabbitMQLocks.Mutex: ConformanceReport] {
        await withTaskGroup(of: (RabbitMQLocks.Mutex, ConformanceReport).self) { group in
            for (kind, suite) in suites { group.addTask { (kind, await body(suite)) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    /// Every provider has a proxy of its own between it and the broker.
    private static func subject(
        _ mutex: RabbitMQLocks.Mutex, on node: PrivateNode, restart: JointRestart
    ) -> ConformanceSubject<RabbitMQLocks> {
        let proxies = Locked<[ObjectIdentifier: FaultyProxy]>([:])
        // The broker hands on two to three heartbeats after the last byte. Less than three, because parts of it have to be
        // shorter than a proof (1.8 heartbeats); where it is a limit for a wait, the suite doubles it.
        var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(5)) { options in
            let proxy = try FaultyProxy(to: node.port)
            let behind = LiveBroker(uri: "amqp://guest:guest@127.0.0.1:\(proxy.port)", control: nil)
            let locks = try behind.locks(mutex: mutex, observer: options.observer) { configuration in
                configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
            }
            proxies.withLock { $0[ObjectIdentifier(locks)] = proxy }
            return locks
        }
        let change: @Sendable (RabbitMQLocks, (inout FaultyProxy.Faults) -> Void) -> Void = { locks, body in
            proxies.withLock { $0[ObjectIdentifier(locks)] }?.change(body)
        }
        subject.close = { locks in
            change(locks) { ($0.silentToBroker, $0.silentToClient) = (false, false) }
            await locks.shutdown()
            proxies.withLock { $0[ObjectIdentifier(locks)] = nil }
        }
        subject.faults.endSession = { change($0) { $0.cut = true } }
        subject.faults.silence = { change($0) { ($0.silentToBroker, $0.silentToClient) = (true, true) } }
        subject.faults.heal = { change($0) { ($0.silentToBroker, $0.silentToClient) = (false, false) } }
        subject.faults.holdAnswers = { change($0) { $0.silentToClient = true } }
        subject.faults.passAnswers = { change($0) { $0.silentToClient = false } }
        subject.faults.holdRequests = { change($0) { $0.silentToBroker = true } }
        subject.faults.restartBroker = { try await restart.meet() }
        subject.faults.crashBroker = { try await restart.meet(crash: true) }
        subject.faults.deleteObjects = { name in
            let objects = try node.broker.objects(name)
            if mutex == .exclusiveQueue {
                // Of another connection's queue an administrator only may say so, and it is there while the lock is held.
                @Sendable func isHeld() throws -> Bool {
                    try node.broker.raw { client in
                        do { return try client.counts(objects.queue) != nil } catch { return true }
                    }
                }
                if try isHeld() {
                    // Its holder may be quicker to give it up.
                    do { try await node.broker.ctl("delete_queue", objects.queue) } catch {
                        if try isHeld() { throw error }
                    }
                }
                return try node.broker.raw { try $0.delete(objects.line) }
            }
            try node.broker.raw { client in
                try client.delete(objects.queue)
                if mutex == .token { try client.delete(objects.register) }
            }
        }
        subject.faults.occupy = { name in
            let queue = try node.broker.objects(name).queue
            try node.broker.raw { try $0.declare(queue, arguments: ["x-queue-type": "classic"]) }
        }
        subject.faults.contenders = { name in
            let objects = try node.broker.objects(name)
            let queue = mutex == .exclusiveQueue ? objects.line : objects.queue
            // A quorum queue with a single active consumer counts no other.
            if mutex == .token {
                return try node.broker.raw { try $0.counts(queue)?.consumers ?? 0 }
            }
            return try await node.broker.consumers(of: queue)
        }
        return subject
    }
}

/// Restarts one node for several suites at once: when all that still take part have come to ask for it.
private actor JointRestart {
    private struct Visitor {
        let wantsCrash: Bool
        let continuation: CheckedContinuation<Result<Void, any Error>, Never>
    }

    private let node: PrivateNode
    private var parties: Int
    private var waiting: [Visitor] = []

    init(of node: PrivateNode, parties: Int) { (self.node, self.parties) = (node, parties) }

    /// Returns when the node has been stopped, or killed when that is what all want, and started again.
    func meet(crash: Bool = false) async throws {
        try await withCheckedContinuation { continuation in
            waiting.append(Visitor(wantsCrash: crash, continuation: continuation))
            restartIfAllWait()
        }.get()
    }

    /// One suite will not come any more.
    func leave() {
        parties -= 1
        restartIfAllWait()
    }

    private func restartIfAllWait() {
        guard !waiting.isEmpty, waiting.count >= parties else { return }
        let visitors = waiting
        waiting = []
        Task {
            let result: Result<Void, any Error>
            do {
                try await end(byCrash: visitors.allSatisfy(\.wantsCrash))
                try await node.start()
                result = .success(())
            } catch {
                result = .failure(error)
            }
            for visitor in visitors { visitor.continuation.resume(returning: result) }
        }
    }

    private func end(byCrash: Bool) async throws {
        guard byCrash else { return try await node.stop() }
        // A quorum queue younger than that may come back without a leader (3.10.8); no event tells when it is safe.
        try await Task.sleep(for: .seconds(2))
        try await node.crash()
    }
}

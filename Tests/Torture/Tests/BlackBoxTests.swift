import Foundation
import MQLock
import MQLockTesting
import Testing

extension TortureTests {
    /// Processes that take one lock again and again, while they and the broker are killed and stopped. What all of them saw is
    /// judged afterwards, by nothing but that.
    @Suite(.enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1")) struct BlackBoxTests {}
}

extension TortureTests.BlackBoxTests {
    enum Fault: String, CaseIterable { case kill, stop, connectionsClosed, brokerKilled, brokerStopped }

    /// MQLOCK_BLACKBOX_SECONDS is for trials.
    @Test(arguments: MutexUnderTest.allCases) func nobodyHoldsBesideAnother(_ mutex: MutexUnderTest) async throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["MQLOCK_BLACKBOX_SECONDS"].flatMap { Int($0) } ?? 60
        let seed = TestSeed.next()
        var random = SeededGenerator(seed)
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let box = try Box(mutex, name, on: node)
            try await box.awaitGrants(20)
            var struck: [Fault: Int] = [:]
            let end = ContinuousClock.now.advanced(by: .seconds(seconds))
            while ContinuousClock.now < end {
                // Each of them once in every round.
                for fault in Fault.allCases.shuffled(using: &random) where ContinuousClock.now < end {
                    try await box.strike(fault, &random)
                    struck[fault, default: 0] += 1
                    try await Task.sleep(for: .milliseconds(Int.random(in: 300...2000, using: &random)))
                }
            }
            try await box.awaitGrants(20)
            let (verdict, moments) = try await box.end()
            print(
                """
                black box: \(mutex) on \(node.broker.version), \(seconds) s, MQLOCK_SEED=\(seed): \
                \(verdict.statistics.grants) grants; \(struck.map { "\($0.key) \($0.value)" }.sorted()); the longest \
                hand-over \(verdict.statistics.gap(at: 1)?.readable ?? "?"); \(moments) times a new holder before the news \
                reached one whose connection was closed
                """)
            #expect(verdict.violations.isEmpty, "\(mutex), MQLOCK_SEED=\(seed): \(verdict.violations)")
            #expect(seconds < 60 || Fault.allCases.allSatisfy { struck[$0] ?? 0 > 0 }, "\(struck)")
        }
    }
}

/// The processes, the broker, and the file in which all write down what they see.
private final class Box {
    private let mutex: MutexUnderTest
    private let name: LockName
    private let node: PrivateNode
    private let file: URL
    private let descriptor: Int32
    private let recorder: HistoryRecorder
    private var workers: [WorkerProcess] = []
    /// When connections were closed: their holders get to know a moment after the broker has handed the lock on.
    private var closings: [ClosedRange<UInt64>] = []

    init(_ mutex: MutexUnderTest, _ name: LockName, on node: PrivateNode) throws {
        (self.mutex, self.name, self.node) = (mutex, name, node)
        file = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-\(UUID().uuidString).jsonl")
        descriptor = open(file.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        recorder = HistoryRecorder(appendingTo: descriptor, keepsEvents: false)
        for _ in 0..<4 { try addWorker() }
    }

    deinit {
        close(descriptor)
        try? FileManager.default.removeItem(at: file)
    }

    private func addWorker() throws {
        workers.append(
            try WorkerProcess(
                "contend", "\(node.broker.uri)?heartbeat=2", name, mutex.description,
                environment: ["MQLOCK_HISTORY": file.path]))
    }

    private func note(_ kind: History.Kind, _ process: String, at: UInt64 = HistoryClock.now) {
        recorder.record(History.Event(at: at, process: process, kind: kind))
    }

    private var events: [History.Event] {
        get throws { try History.events(fromLines: String(contentsOf: file, encoding: .utf8)) }
    }

    /// Waits until so many more have been granted.
    func awaitGrants(_ count: Int) async throws {
        func grants() throws -> Int {
            try events.count { if case .granted = $0.kind { true } else { false } }
        }
        let before = try grants()
        try await eventually(within: .seconds(60), every: .milliseconds(200), "\(count) grants by \(mutex)") {
            try grants() >= before + count
        }
    }

    func strike(_ fault: TortureTests.BlackBoxTests.Fault, _ random: inout SeededGenerator) async throws {
        let pause = Duration.milliseconds(Int.random(in: 500...8000, using: &random))
        let index = Int.random(in: workers.indices, using: &random)
        switch fault {
        case .kill:
            try await kill(workers.remove(at: index))
            try addWorker()
        case .stop:
            let process = "\(workers[index].pid)"
            workers[index].signal(SIGSTOP)
            note(.processStopped, process)
            try await Task.sleep(for: pause)
            note(.processContinued, process)
            workers[index].signal(SIGCONT)
        case .connectionsClosed:
            let start = HistoryClock.now
            try await node.broker.ctl("close_all_connections", "black box")
            closings.append(start...HistoryClock.now + 2_000_000_000)
        case .brokerKilled:
            try await TortureTests.FaultTests.outliveYoungQueues()
            note(.brokerDown, "broker")
            try await node.crash()
            try await node.start()
            note(.brokerUp, "broker")
        case .brokerStopped:
            note(.brokerDown, "broker")
            node.signal(SIGSTOP)
            try await Task.sleep(for: pause)
            node.signal(SIGCONT)
            note(.brokerUp, "broker")
        }
    }

    private func kill(_ worker: WorkerProcess) async throws {
        let (at, process) = (HistoryClock.now, "\(worker.pid)")
        try await worker.killNow()
        note(.processDied, process, at: at)
    }

    /// Ends the processes.
    /// - Returns: what there is to say of all that they saw, and how often a closed connection's holder was late with it.
    func end() async throws -> (Verdict, Int) {
        for worker in workers { try await kill(worker) }
        var verdict = HistoryChecker(maximumFree: .seconds(30)).check(try events)
        let all = verdict.violations.count
        verdict.violations.removeAll { violation in
            violation.kind == .overlap && closings.contains { $0.contains(violation.at) }
        }
        return (verdict, all - verdict.violations.count)
    }
}

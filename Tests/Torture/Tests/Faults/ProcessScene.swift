import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

/// One lock of one mutex, held and waited for by processes; for one task.
final class ProcessScene {
    let mutex: MutexUnderTest
    let name: LockName
    let proxy: FaultyProxy?
    let clockFile: FakeClock?
    var holder: WorkerProcess
    var observation = Observation()
    /// The largest number that was granted.
    private(set) var last: UInt64 = 0
    private let broker: LiveBroker

    init(
        _ mutex: MutexUnderTest, _ name: LockName, on broker: LiveBroker, mode: String, _ proxy: FaultyProxy?,
        _ clockFile: FakeClock?
    ) async throws {
        (self.mutex, self.name, self.proxy, self.clockFile) = (mutex, name, proxy, clockFile)
        let broker = LiveBroker(uri: "\(broker.uri)?heartbeat=1", control: broker.control)
        self.broker = broker
        let near = proxy.map { broker.behind($0) } ?? broker
        holder = try WorkerProcess(
            mode, near.uri, name, mutex.description, environment: clockFile?.environment ?? [:])
        last = try #require(UInt64(try await holder.line("granted")[1]))
    }

    /// Another process, which stands in line.
    func waiter() async throws -> WorkerProcess {
        let before = try await broker.lines().count(for: name)
        let waiter = try WorkerProcess("hold", broker.uri, name, mutex.description)
        try await eventually(within: .seconds(60), every: .milliseconds(50), "the waiter in the broker's line") {
            try await broker.lines().count(for: name) > before
        }
        return waiter
    }

    func isReported(since instant: Int64, _ word: String) async throws {
        let lost = try await holder.line("lost")
        let kind = try #require(LossReason.Kind.all.first { $0.description == lost[1] }, "\(lost)")
        observation.holder = "\(word): \(LossReason(kind))"
        observation.holderKnew = .nanoseconds(try #require(Int64(lost[2])) - instant)
    }

    /// - Parameter early: how long before the holder's end that may be.
    func isServed(
        _ waiter: WorkerProcess, since instant: Int64, _ how: String = "next", early: Duration = .zero
    ) async throws {
        let granted = try await waiter.line("granted")
        let (token, at) = (try #require(UInt64(granted[1])), try #require(Int64(granted[2])))
        #expect(token > last, "\(mutex)")
        observation.tokens = token > last ? "grow" : "go back"
        last = max(last, token)
        if let ended = observation.holderKnew {
            #expect(instant + ended.nanoseconds <= at + early.nanoseconds, "\(mutex): served before the holder's end")
        }
        observation.waiter = how
        observation.waiterHeld = .nanoseconds(at - instant)
    }

    /// A new program has it next.
    func lockWorksAgain() async throws {
        let locks = try broker.locks("") { [mutex] in mutex.configure(&$0) }
        let again = Contender(locks, name, within: .seconds(30))
        let token = try await again.lease().fencingToken.rawValue
        #expect(token > last, "\(mutex)")
        #expect(try await again.release() == nil, "\(mutex)")
        await locks.shutdown()
        if observation.afterwards.isEmpty { observation.afterwards = "works" }
    }

    /// The holder's clocks: wall in seconds, and that of the proof in nanoseconds.
    func clock() async throws -> (wall: Int, boot: Int64) {
        let before = holder.lines.count
        holder.tell("clock")
        let words = try await holder.line("clock", after: before)
        return (try #require(Int(words[1])), try #require(Int64(words[2])))
    }
}

extension LossReason.Kind {
    fileprivate static let all: [Self] = [
        .connectionClosed, .proofOverdue, .channelClosed, .consumerCancelled, .holdLimit, .queueDeleted, .askedToYield,
        .forced,
        .shutdown,
    ]
}

/// A file that says how far libfaketime moves a process's wall clock, and no other clock. The machine's own is not touched.
final class FakeClock {
    /// Debian's package libfaketime; nil when it is not there.
    static let library: String? = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib"))?
        .map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }.first(where: FileManager.default.fileExists(atPath:))

    private let file = FileManager.default.temporaryDirectory.appendingPathComponent(
        "mqlock-clock-\(UUID().uuidString)")

    init() throws { try set(offset: 0) }
    deinit { try? FileManager.default.removeItem(at: file) }

    func set(offset: Int) throws {
        try "\(offset < 0 ? "" : "+")\(offset)s\n".write(to: file, atomically: true, encoding: .utf8)
    }

    var environment: [String: String] {
        [
            "LD_PRELOAD": Self.library ?? "", "FAKETIME_TIMESTAMP_FILE": file.path, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        ]
    }
}

/// Sets the scene with every mutex, all at once unless they would disturb a measurement; looks whether a new program can
/// have the lock when all are gone; and records what was seen.
func observeProcesses(
    _ fault: Fault, mode: String = "hold", behind proxy: @escaping @Sendable () throws -> FaultyProxy? = { nil },
    withFakeClock: Bool = false, oneAfterTheOther: Bool = false, test: String = #function,
    at location: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable (ProcessScene) async throws -> Void
) async throws {
    let broker = try await PrivateNode.shared().broker
    @Sendable func observe(_ mutex: MutexUnderTest) async throws -> Observation {
        try await broker.withName("fault") { name in
            let scene = try await ProcessScene(
                mutex, name, on: broker, mode: mode, try proxy(), withFakeClock ? try FakeClock() : nil)
            try await body(scene)
            try await scene.holder.killNow()
            try await scene.lockWorksAgain()
            return scene.observation
        }
    }
    let seen = try await withThrowingTaskGroup { group in
        var seen: [String: Observation] = [:]
        for mutex in MutexUnderTest.allCases {
            group.addTask { (mutex.description, try await observe(mutex)) }
            if oneAfterTheOther, let one = try await group.next() { seen[one.0] = one.1 }
        }
        for try await one in group { seen[one.0] = one.1 }
        return seen
    }
    let rows = MutexUnderTest.allCases.compactMap { mutex in seen[mutex.description].map { (mutex, $0) } }
    try FaultTable.record(fault, rows, test: test, at: location)
}

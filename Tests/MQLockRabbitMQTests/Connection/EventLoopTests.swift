import MQLock
import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An actor on a loop, as the session will be.
private actor Counter {
    nonisolated let loop: EventLoop
    private(set) var count = 0
    private var log: [Int] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init() throws {
        loop = try EventLoop(name: "test-counter")
    }

    deinit { loop.stop() }

    func increment() {
        precondition(loop.isOnLoop)
        loop.checkIsolated()
        count += 1
    }

    /// Waits without blocking the loop: the timer's handler runs isolated.
    func sleep(_ duration: Duration) async {
        await withCheckedContinuation { continuation in
            loop.schedule(at: .now + duration) {
                self.count += 1
                continuation.resume()
            }
        }
    }

    func timers(_ delays: [Int]) async -> [Int] {
        log = []
        let start = ContinuousClock.now
        await withCheckedContinuation { continuation in
            for delay in delays {
                loop.schedule(at: start + .milliseconds(delay)) {
                    self.log.append(delay)
                    if self.log.count == delays.count { continuation.resume() }
                }
            }
            let cancelled = loop.schedule(at: start + .milliseconds(1)) { self.log.append(-1) }
            loop.cancel(cancelled)
        }
        return log
    }

    func note(_ number: Int) { log.append(number) }

    func noted() -> [Int] { log }

    func countTurns() { loop.watch(TurnCounter(self)) }

    fileprivate func countTurn() { count += 1 }

    /// Reads a byte from each of these descriptors, in the order in which they come.
    func readsBytes(from descriptors: [Int32]) async -> [UInt8] {
        await withCheckedContinuation { continuation in
            let reader = ByteReader(loop, count: descriptors.count) { continuation.resume(returning: $0) }
            for descriptor in descriptors { loop.watch(ByteReader.End(descriptor, of: reader)) }
        }
    }

    /// Offloads what blocks, and counts what the loop does meanwhile.
    func offloads(_ delay: UInt32) async -> UInt32 {
        await withCheckedContinuation { continuation in
            loop.offload {
                usleep(delay)
                return delay
            } then: { result in
                precondition(self.loop.isOnLoop)
                continuation.resume(returning: result)
            }
        }
    }
}

extension Counter {
    fileprivate func offloadAndStop() {
        loop.offload {
            usleep(20_000)
        } then: {
            Issue.record("a stopped loop hands no result out")
        }
        loop.stop()
    }
}

/// A client without a socket.
private final class TurnCounter: LoopClient {
    /// The last turns can be after its end.
    private weak var counter: Counter?
    let socketDescriptor: Int32 = -1
    let hasBufferedInput = false
    let wantsToWrite = false

    init(_ counter: Counter) { self.counter = counter }

    func socketIsReady() {}
    func endTurn() { counter?.assumeIsolated { $0.countTurn() } }
}

private final class ByteReader {
    private let loop: EventLoop
    private let count: Int
    private let done: ([UInt8]) -> Void
    private var bytes: [UInt8] = []

    init(_ loop: EventLoop, count: Int, _ done: @escaping ([UInt8]) -> Void) {
        (self.loop, self.count, self.done) = (loop, count, done)
    }

    final class End: LoopClient {
        let socketDescriptor: Int32
        let hasBufferedInput = false
        let wantsToWrite = false
        private let reader: ByteReader

        init(_ descriptor: Int32, of reader: ByteReader) { (socketDescriptor, self.reader) = (descriptor, reader) }

        func socketIsReady() {
            var byte: UInt8 = 0
            _ = read(socketDescriptor, &byte, 1)
            reader.loop.unwatch(self)
            reader.bytes.append(byte)
            if reader.bytes.count == reader.count { reader.done(reader.bytes) }
        }

        func endTurn() {}
    }
}

@Suite("Event loop", .timeLimit(.minutes(1)))
struct EventLoopTests {
    @Test func runsAnActorAndLosesNoWakeUp() async throws {
        let counter = try Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask { for _ in 0..<1000 { await counter.increment() } }
            }
        }
        #expect(await counter.count == 100_000)
    }

    /// From plain threads, each call from a task of its own: bursts, and pauses in which the loop falls asleep.
    @Test func enqueuesFromManyThreads() async throws {
        let counter = try Counter()
        let done = Locked(0)
        await withCheckedContinuation { continuation in
            for _ in 0..<8 {
                let status = LoopThread.start(name: "test-caller") {
                    for round in 0..<12_500 {
                        if round % 500 == 0 { usleep(2000) }
                        Task {
                            await counter.increment()
                            let isLast = done.withLock { done in
                                done += 1
                                return done == 100_000
                            }
                            if isLast { continuation.resume() }
                        }
                    }
                }
                #expect(status == 0)
            }
        }
        #expect(await counter.count == 100_000)
    }

    /// One at a time, so that the loop sleeps before nearly every call: a lost wake-up would hang.
    @Test func wakesUpForSingleCalls() async throws {
        let counter = try Counter()
        for _ in 0..<20_000 { await counter.increment() }
        #expect(await counter.count == 20_000)
    }

    /// In the order in which they were asked for, before calls that come later; also after the end of the loop.
    @Test(arguments: [false, true]) func runsBodiesInOrder(_ isStopped: Bool) async throws {
        let counter = try Counter()
        if isStopped { counter.loop.stop() }
        for round in 1...20 {
            for number in 0..<100 {
                counter.loop.run { counter.assumeIsolated { $0.note(round * 100 + number) } }
                if number == 50 { await Task.yield() }
            }
            #expect(await counter.noted() == Array(100..<(round + 1) * 100))
        }
    }

    @Test func firesTimersInOrder() async throws {
        let counter = try Counter()
        #expect(await counter.timers([40, 10, 30, 10, 0, 20]) == [0, 10, 10, 20, 30, 40])
    }

    @Test func timersAreNeverEarly() async throws {
        let counter = try Counter()
        for _ in 0..<20 {
            let start = ContinuousClock.now
            await counter.sleep(.microseconds(2500))
            let elapsed = ContinuousClock.now - start
            #expect(elapsed >= .microseconds(2500))
        }
    }

    @Test func callsAfterTurnOncePerTurn() async throws {
        let counter = try Counter()
        await counter.countTurns()
        let before = await counter.count
        for _ in 0..<100 { await counter.increment() }
        // 100 jobs, and at least one turn for each because each waits for the one before; the idle loop sleeps.
        let between = await counter.count
        #expect(between >= before + 200 && between <= before + 320)
        usleep(50_000)
        #expect(await counter.count - between <= 3)
    }

    @Test func watchesSeveralDescriptors() async throws {
        let counter = try Counter()
        var pipes: [[Int32]] = []
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            #expect(pipe(&ends) == 0)
            pipes.append(ends)
        }
        defer { for end in pipes.joined() { close(end) } }
        let readEnds = pipes.map { $0[0] }
        async let bytes = counter.readsBytes(from: readEnds)
        for (byte, ends) in zip([42, 43, 44] as [UInt8], pipes) {
            usleep(20_000)
            var written = byte
            #expect(write(ends[1], &written, 1) == 1)
        }
        #expect(await bytes == [42, 43, 44])
    }

    @Test func whatBlocksDoesNotHoldTheLoop() async throws {
        let counter = try Counter()
        async let result = counter.offloads(100_000)
        let start = ContinuousClock.now
        for _ in 0..<100 { await counter.increment() }
        let elapsed = ContinuousClock.now - start
        #expect(await result == 100_000)
        #expect(await counter.count == 100)
        print("100 calls beside an offloaded 100 ms: \(elapsed)")
    }

    @Test func aLoopThatIsStoppedDropsResults() async throws {
        let counter = try Counter()
        weak let loop: EventLoop? = counter.loop
        await counter.offloadAndStop()
        usleep(50_000)
        await counter.increment()
        #expect(loop != nil)
    }

    @Test func callsAfterStopStillRunIsolated() async throws {
        let counter = try Counter()
        await counter.increment()
        counter.loop.stop()
        counter.loop.stop()
        for _ in 0..<1000 { await counter.increment() }
        usleep(20_000)
        for _ in 0..<100 {
            await counter.increment()
            usleep(100)
        }
        #expect(await counter.count == 1101)
    }

    @Test func stopWhileJobsArrive() async throws {
        for _ in 0..<50 {
            let counter = try Counter()
            await withTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        for round in 0..<100 {
                            if worker == 3, round == 20 { counter.loop.stop() }
                            await counter.increment()
                        }
                    }
                }
            }
            #expect(await counter.count == 800)
        }
    }

    @Test func loopAndThreadGoWithTheActor() async throws {
        weak var loop: EventLoop?
        weak var actor: Counter?
        do {
            let counter = try Counter()
            await counter.increment()
            loop = counter.loop
            actor = counter
        }
        for _ in 0..<500 where loop != nil { usleep(10_000) }
        #expect(actor == nil)
        #expect(loop == nil)
    }

    @Test func signalsAreBlockedOnTheThread() async throws {
        let done = Locked<Bool?>(nil)
        let status = LoopThread.start(name: "test-signals") {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let isBlocked = [SIGTERM, SIGINT, SIGHUP, SIGUSR1].allSatisfy { sigismember(&mask, $0) == 1 }
            done.withLock { $0 = isBlocked && sigismember(&mask, SIGSEGV) == 0 }
        }
        #expect(status == 0)
        for _ in 0..<500 where done.withLock({ $0 == nil }) { usleep(10_000) }
        #expect(done.withLock { $0 } == true)
    }
}

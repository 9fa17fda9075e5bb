import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Jobs that are done once in a period, over a log.
    @Suite struct LogOnceTests {}
}

extension LiveKafkaTests.LogOnceTests {
    private func withLocks(
        _ count: Int, partitions: Int = 1, _ body: (LogPlace, [KafkaLocks]) async throws -> Void
    ) async throws {
        let place = try await LogPlace.make(partitions: partitions)
        let locks = try (0..<count).map { try place.locks(owner: "owner \($0)") }
        let result: Result<Void, any Error>
        do { result = .success(try await body(place, locks)) } catch { result = .failure(error) }
        for locks in locks { await locks.shutdown(within: .zero) }
        try result.get()
    }

    @Test func whoComesFirstDoesItAndTheOthersSkipIt() async throws {
        try await withLocks(3) { place, locks in
            let runs = Locked<[FencingToken]>([])
            for number in 0..<4 {
                let period = try Period.key("release \(number)")
                let results = try await withThrowingTaskGroup(of: OnceResult<FencingToken>.self) { group in
                    for index in 0..<6 {
                        group.addTask {
                            try await locks[index % 3].once("n", for: period, within: .seconds(60)) { lease in
                                runs.withLock { $0.append(lease.fencingToken) }
                                return lease.fencingToken
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let tokens = runs.withLock { $0 }
                #expect(tokens.count == number + 1)
                #expect(results.compactMap(\.value) == tokens.suffix(1))
                #expect(results.compactMap(\.mark?.fencingToken) == [FencingToken](repeating: tokens.last!, count: 5))
            }
            let tokens = runs.withLock { $0 }
            #expect(try await locks[0].marks(of: "n").map(\.fencingToken) == tokens)
            #expect(try await place.inspector.marks(of: "n").map(\.fencingToken) == tokens)
            #expect(try await place.inspector.marks(of: "m").isEmpty)
        }
    }

    @Test func theLastMarksAreKeptAndNothingElse() async throws {
        try await withLocks(2) { place, locks in
            #expect(try await locks[0].marks(of: "n", within: .seconds(20)) == [])
            for number in 1...12 as ClosedRange<UInt64> {
                try await locks[Int(number % 2)].write(.number(number), of: "n", within: .seconds(20))
            }
            // Twice, as by somebody who did not hear that it was done; by no session; something else.
            try await locks[0].write(.number(12), of: "n", within: .seconds(20))
            let foreign = LogRecord.foreign(.done(RandomID(), "n", .number(99)))
            try await offPool {
                try place.broker.append([foreign], to: place.topic)
                try place.broker.appendRaw(Array("hello".utf8), to: place.topic)
            }
            // Whoever has read this has read those.
            try await locks[1].write(.number(1), of: "m", within: .seconds(20))
            try await locks[0].write(.number(1), of: "m", within: .seconds(20))
            for locks in locks {
                #expect(try await locks.marks(of: "n", within: .seconds(20)).map(\.began) == Array(5...12))
            }
            let nothing = DoneMark(period: "", began: 1, ended: 1, owner: "o", fencingToken: FencingToken(rawValue: 1)!)
            let error = await #expect(throws: LockError.self) {
                try await locks[0].write(nothing, of: "n", within: nil)
            }
            #expect(error?.code == .invalidConfiguration)
        }
    }

    /// A mark that is being written when the session ends is written in the next one.
    @Test func aRequestSurvivesItsSession() async throws {
        try await withLocks(1) { place, locks in
            let log = place.topic
            for number in 1...5 as ClosedRange<UInt64> {
                for turn in 0..<10 as Range<UInt64> {
                    let writing = Task {
                        try await locks[0].write(.number(number * 10 + turn), of: "n", within: .seconds(60))
                    }
                    if turn == 5, let session = locks[0].contender.driver.health.sessions[0] {
                        try await offPool {
                            try place.broker.append([LogRecord.foreign(.close(session))], to: log)
                        }
                    }
                    try await writing.value
                }
                let marks = try await locks[0].marks(of: "n", within: .seconds(60))
                #expect(marks.map(\.began) == Array(Int64(number * 10 + 2)...Int64(number * 10 + 9)))
            }
        }
    }

    /// The link is silent when the mark is written, until the session has ended; or the broker is away.
    @Test(arguments: [true, false]) func aMarkIsWrittenOnceTheLogCanBeReachedAgain(_ isSilent: Bool) async throws {
        let place = try await LogPlace.make(breakable: true)
        let proxy = try await offPool { try KafkaProxy(to: place.broker) }
        let locks = try place.locks(behind: proxy)
        #expect(try await locks.marks(of: "n", within: .seconds(30)) == [])
        if isSilent {
            proxy.change { $0.silentToClient = true }
        } else {
            try await offPool { try place.broker.fault("broker", "all", "down") }
        }
        let writing = Task { try await locks.write(.number(1), of: "n", within: .seconds(60)) }
        try await eventually("the end of the session") { !locks.isConnected }
        if isSilent {
            proxy.change { $0.silentToClient = false }
        } else {
            try await offPool { try place.broker.fault("broker", "all", "up") }
        }
        try await writing.value
        #expect(try await place.inspector.marks(of: "n", within: .seconds(30)) == [.number(1)])
        await locks.shutdown()
    }

    /// Three programs with one schedule, for three ticks.
    @Test func eachTickIsDoneOnce() async throws {
        try await withLocks(3) { _, locks in
            let began = Locked<[Int64]>([])
            let schedule = try Schedule.every(.seconds(1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for locks in locks {
                    group.addTask {
                        try await locks.schedule("n", schedule) { tick in began.withLock { $0.append(tick.time) } }
                    }
                }
                try await eventually("three ticks") { began.withLock { $0.count } >= 3 }
                group.cancelAll()
                try await group.waitForAll()
            }
            let ticks = began.withLock { $0 }
            #expect(Set(ticks).count == ticks.count && ticks.allSatisfy { $0 % 1000 == 0 }, "\(ticks)")
            let marks = try await locks[0].marks(of: "n")
            #expect(Set(marks.map(\.start)) == Set(ticks))
        }
    }

    /// The session ends while the job goes on.
    @Test func aJobUnderALostLockIsDoneAgainByAnother() async throws {
        try await withLocks(2) { place, locks in
            let runs = Locked(0)
            let error = await #expect(throws: LockError.self) {
                try await locks[0].once("n", for: .key("k")) { lease in
                    runs.withLock { $0 += 1 }
                    guard let session = locks[0].contender.driver.health.sessions[0] else { return }
                    try await offPool {
                        try place.broker.append([LogRecord.foreign(.close(session))], to: place.topic)
                    }
                    for await state in lease.states where state.isFinal { break }
                }
            }
            #expect(error?.code == .lost)
            let second = try await locks[1].once("n", for: .key("k"), within: .seconds(60)) { _ in
                runs.withLock { $0 += 1 }
            }
            #expect(second.mark == nil && runs.withLock { $0 } == 2)
            #expect(
                try await locks[0].once("n", for: .key("k"), within: .seconds(60)) { _ in }.mark?.owner == "owner 1")
        }
    }

    /// A holder that finishes while its program shuts down still says so.
    @Test func aJobIsMarkedWhileTheProviderDrains() async throws {
        try await withLocks(2) { _, locks in
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let (go, finish) = AsyncStream.makeStream(of: Void.self)
            let running = Task {
                try await locks[0].once("n", for: .key("k")) { _ in
                    start.finish()
                    for await _ in go { break }
                }
            }
            for await _ in started { break }
            let stopping = Task { await locks[0].shutdown(within: .seconds(30)) }
            // Until it turns newcomers away.
            try await eventually("the provider drains") {
                do throws(LockError) { _ = try await locks[0].marks(of: "n", within: .seconds(5)) } catch {
                    return error.code == .shutDown
                }
                return false
            }
            finish.finish()
            #expect(try await running.value.mark == nil)
            await stopping.value
            #expect(
                try await locks[1].once("n", for: .key("k"), within: .seconds(60)) { _ in }.mark?.owner == "owner 0")
        }
    }

    /// Also one whose name is new to the provider, and whose session is lost meanwhile: a shutdown waits for it.
    @Test func aShutdownWaitsForWhatIsBeingWritten() async throws {
        let place = try await LogPlace.make()
        let proxy = try await offPool { try KafkaProxy(to: place.broker) }
        let locks = try place.locks(behind: proxy)
        try await locks.verify()
        proxy.change { $0.silentToClient = true }
        let writing = Task { try await locks.write(.number(1), of: "n", within: nil) }
        try await eventually("the end of the session") { !locks.isConnected }
        let stopping = Task { await locks.shutdown(within: .seconds(60)) }
        proxy.change { $0.silentToClient = false }
        try await writing.value
        await stopping.value
        #expect(try await place.inspector.marks(of: "n", within: .seconds(30)) == [.number(1)])
    }

    /// All sessions have ended, the writer's process was killed, and names are on several partitions.
    @Test func marksOutliveTheProgramsThatWroteThem() async throws {
        let place = try await LogPlace.make(partitions: 3)
        let names = try (0..<6).map { try LockName("name-\($0)") }
        #expect(Set(names.map { Murmur2.partition(of: $0.utf8, count: 3) }).count == 3)
        for (number, name) in names.enumerated() {
            let worker = try place.onceProcess(journal: "/dev/null")
            worker.say("do \(number) \(name) release-\(number) 0 nothing")
            #expect(try await worker.line("over \(number)").hasPrefix("done"))
            if number % 2 == 0 {
                worker.signal(SIGKILL)
            } else {
                worker.say("stop")
                _ = try await worker.line("stopped")
            }
        }
        let again = try place.onceProcess(journal: "/dev/null")
        again.say("do 7 \(names[0]) release-0 0 nothing")
        #expect(try await again.line("over 7").hasPrefix("skipped"))
        let locks = try place.locks()
        for (number, name) in names.enumerated() {
            let result = try await locks.once(name, for: .key("release-\(number)"), within: .seconds(60)) { _ in }
            #expect(result.mark?.period == (try Period.key("release-\(number)")).description)
        }
        await locks.shutdown()
    }

    @Test func whoAsksIsNotKeptWaiting() async throws {
        var configuration = KafkaLocks.Configuration(connection: KafkaConnection(brokers: ["127.0.0.1:1"]), topic: "t")
        configuration.backoff = .milliseconds(10) ... .milliseconds(20)
        let locks = try KafkaLocks(configuration)
        let late = await #expect(throws: LockError.self) { try await locks.marks(of: "n", within: .milliseconds(50)) }
        #expect(late?.code == .unreachable)
        let unknown = await #expect(throws: LockError.self) {
            try await locks.write(.number(1), of: "n", within: .zero)
        }
        #expect(unknown?.code == .outcomeUnknown)
        let cancelled = Task { try await locks.marks(of: "n", within: nil) }
        cancelled.cancel()
        let error = await #expect(throws: LockError.self) { try await cancelled.value }
        #expect(error?.code == .cancelled)
        let waiting = Task { try await locks.marks(of: "n", within: nil) }
        let writing = Task { try await locks.write(.number(1), of: "n", within: nil) }
        await locks.shutdown(within: .milliseconds(100))
        let turnedAway = await #expect(throws: LockError.self) { try await waiting.value }
        #expect(turnedAway?.code == .shutDown)
        // It was never sent: no session has come up.
        let unwritten = await #expect(throws: LockError.self) { try await writing.value }
        #expect(unwritten?.code == .shutDown)
        let stopped = await #expect(throws: LockError.self) { try await locks.marks(of: "n", within: nil) }
        #expect(stopped?.code == .shutDown)
    }

    /// What was written and not read back may be there or not, also when the provider ends.
    @Test func whatWasWrittenBeforeTheEndIsNotSaidToBeMissing() async throws {
        let place = try await LogPlace.make()
        let proxy = try await offPool { try KafkaProxy(to: place.broker) }
        let locks = try place.locks(ttl: .seconds(30), behind: proxy)
        try await locks.verify()
        proxy.change { $0.silentToClient = true }
        let writing = Task { try await locks.write(.number(1), of: "n", within: nil) }
        try await eventually("the mark in the log") { try await place.inspector.marks(of: "n") == [.number(1)] }
        await locks.shutdown(within: .zero)
        let error = await #expect(throws: LockError.self) { try await writing.value }
        #expect(error?.code == .outcomeUnknown)
    }

    @Test func whereThereIsNoTopicAllIsRefusedAtOnce() async throws {
        let place = try await LogPlace.make()
        var configuration = KafkaLocks.Configuration(connection: place.broker.quickConnection, topic: place.topic)
        configuration.partitions = 5
        let locks = try KafkaLocks(configuration)
        let read = await #expect(throws: LockError.self) { try await locks.marks(of: "n", within: nil) }
        #expect(read?.code == .incompatible)
        let write = await #expect(throws: LockError.self) { try await locks.write(.number(1), of: "n", within: nil) }
        #expect(write?.code == .incompatible)
        await locks.shutdown()
    }
}

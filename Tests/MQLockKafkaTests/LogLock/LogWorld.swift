import MQLock
import MQLockTesting

@testable import MQLockKafka

/// A log in memory and processes that read and write it, each at its own pace and by its own clock; everything that can go
/// wrong does, as a seed has it. Checks at every step what the log lock promises.
struct LogWorld {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    struct Lease {
        let name: LockName
        let token: UInt64
        /// How many marks had been written when it became first in the log.
        let marksWritten: Int
        var isLost = false
    }

    struct Process {
        var machine: LogPartition
        /// Its clock's rate in thousandths, and how far its time of day is ahead, in milliseconds: less than the retention,
        /// for that long nobody may have been there, and only clocks number tokens then.
        let rate: Int
        let skew: Int64
        var position: Int64?
        var isAsking = false
        var outbox: [LogRecord] = []
        /// What was written last, for a resend.
        var written: [LogRecord] = []
        /// Failures that have not been reported yet.
        var unreported: [UInt64] = []
        var provenUntil: ContinuousClock.Instant?
        var leases: [UInt64: Lease] = [:]
        var waiting: [UInt64: LockName] = [:]
        var marks = MarkCalls()
        var isStopped = false, isDeaf = false, isMute = false
    }

    static let ttl = Duration.seconds(2)
    static let retention: Int64 = 40_000
    static let names: [LockName] = ["a", "b"]

    private var random: SeededGenerator
    var processes: [Process] = []
    /// What dead processes had on its way.
    private var orphans: [LogRecord] = []
    var log: [LogEntry] = []
    var start: Int64 = 0
    /// The state behind each offset, as the whole log says it.
    var truth = LockTable(next: 0)
    var hashes: [UInt64] = []
    var wholeSnapshots: Set<SnapshotName> = []
    private var chunks: [SnapshotName: Set<UInt32>] = [:]
    var complete: Set<SnapshotName> = []
    var time: Int64 = 0
    var attempts: UInt64 = 0
    private var highest: [LockName: UInt64] = [:]
    private var served: [LockName: Int64] = [:]
    private(set) var grants = 0
    private(set) var snapshotsUsed = 0
    var marks = MarkLedger()
    private static let origin = ContinuousClock.now

    /// One of two kinds of schedules.
    private let isTight: Bool

    init(seed: UInt64) {
        random = SeededGenerator(seed)
        isTight = seed % 2 == 1
        for _ in 0..<3 { processes.append(newProcess()) }
    }

    mutating func newProcess() -> Process {
        let ids = Locked(SeededGenerator(random.next()))
        var session = LogSession.Settings(ttl: Self.ttl, margin: .milliseconds(200), partitions: 1, owner: "p")
        session.idle = .seconds(30)
        session.snapshotInterval = .seconds(6)
        session.snapshotRecords = 30
        session.snapshotAge = .seconds(10)
        // A chunk for each session and each line.
        session.chunkSize = 1
        let settings = LogPartition.Settings(
            session: session, backoff: GrowingDelay(.milliseconds(100) ... .seconds(1)),
            makeID: { ids.withLock { RandomID(high: $0.next(), low: $0.next()) } })
        return Process(machine: LogPartition(settings), rate: pick(960...1040), skew: chance(10) ? 30_000 : 0)
    }

    mutating func pick(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    mutating func chance(_ percent: Int) -> Bool { pick(0...99) < percent }

    func moment(_ index: Int) -> LogSession.Moment {
        let process = processes[index]
        // 2026-11-01, so that the clock matters for the numbers.
        return .init(
            now: Self.origin.advanced(by: .microseconds(time * Int64(process.rate))),
            wall: 1_793_491_200_000 + time + process.skew)
    }

    // MARK: Schedules

    /// Runs one schedule, and then lets everything get well.
    mutating func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        try calm()
    }

    mutating func step() throws {
        if isTight { return try tightStep() }
        let index = pick(0...2)
        switch pick(0...99) {
        case 0..<22: try pass(Int64(pick(0...300)))
        case 22..<24: try pass(Int64(pick(1000...6000)))
        case 24..<48: try turn(index)
        case 48..<56: try append(index)
        case 56..<64: try read(index, count: pick(1...3))
        case 64..<76: try want(index, isTry: chance(25))
        case 76..<82: try leaveSomething(index)
        case 82..<86: try useMarks(index)
        case 86..<88: processes[index].isStopped.toggle()
        case 88..<90: processes[index].isDeaf.toggle()
        case 90..<92: processes[index].isMute.toggle()
        case 92..<93: kill(index)
        case 93..<95: lose(index)
        case 95..<97: resend(index)
        case 97..<98: for _ in 0..<pick(1...20) { try quiet() }
        default: if !orphans.isEmpty { put(orphans.removeFirst()) }
        }
    }

    /// Two processes that hold for long, and links that fall silent in one direction or the other for parts of a proof.
    mutating func tightStep() throws {
        let index = pick(0...1)
        switch pick(0...99) {
        case 0..<35: try pass(Int64(pick(0...250)))
        case 35..<60: try turn(index)
        case 60..<68: try append(index)
        case 68..<76: try read(index, count: pick(1...2))
        case 76..<84: try want(index, name: Self.names[0])
        case 84..<86: try leaveSomething(index)
        case 86..<87: try useMarks(index)
        case 87..<89: processes[index].isStopped.toggle()
        case 89..<93: processes[index].isDeaf.toggle()
        case 93..<97: processes[index].isMute.toggle()
        case 97..<98: resend(index)
        case 98..<99: lose(index)
        default: kill(index)
        }
    }

    mutating func want(_ index: Int, name: LockName) throws {
        guard !processes[index].isStopped, processes[index].waiting.isEmpty,
            processes[index].leases.values.allSatisfy(\.isLost)
        else { return }
        try want(index, name: name, isTry: false)
    }

    /// All that can does what it has to, at short intervals.
    mutating func quiet() throws {
        for _ in 0..<4 {
            try pass(250)
            for index in processes.indices { try turn(index) }
        }
    }

    mutating func calm() throws {
        orphans = []
        for index in processes.indices {
            (processes[index].isStopped, processes[index].isDeaf, processes[index].isMute) = (false, false, false)
            for number in processes[index].unreported { try perform(index) { $0.failed(number, at: $1) } }
            processes[index].unreported = []
        }
        for name in Self.names {
            try want(pick(0...2), name: name, isTry: false)
            for index in processes.indices { try readMarks(index, of: name) }
        }
        for _ in 0..<400 {
            for index in processes.indices {
                try turn(index)
                for attempt in processes[index].leases.keys.sorted() { try leave(index, attempt) }
            }
            if processes.allSatisfy({ $0.waiting.isEmpty && $0.leases.isEmpty && $0.marks.isEmpty }) { return }
            try pass(100)
        }
        let starved = processes.flatMap { process in process.waiting.values + process.marks.names }
        throw Violation(description: "nobody served \(starved) although all was well, log of \(log.count)")
    }

    // MARK: Steps

    mutating func pass(_ milliseconds: Int64) throws {
        time += milliseconds
        while start < Int64(log.count), log[Int(start)].timestamp < 1_793_491_200_000 + time - Self.retention {
            start += 1
        }
        try check()
    }

    mutating func turn(_ index: Int) throws {
        guard !processes[index].isStopped else { return }
        while !processes[index].outbox.isEmpty, !processes[index].isMute { try append(index) }
        if processes[index].isAsking, !processes[index].isDeaf, !processes[index].isMute {
            processes[index].isAsking = false
            let bounds = start..<Int64(log.count)
            startsReading(index)
            if chance(5) {
                try perform(index) { $0.notAnswered("no answer", final: nil, at: $1) }
            } else {
                let first = Int(max(bounds.lowerBound, bounds.upperBound - 1))
                let look = LogLook(bounds: bounds, last: Array(log[first...]))
                try perform(index) { $0.answered(look, at: $1) }
            }
        }
        try read(index, count: .max)
        try perform(index) { $0.tick(at: $1) }
        if !processes[index].isMute { while !processes[index].outbox.isEmpty { try append(index) } }
    }

    mutating func append(_ index: Int) throws {
        guard !processes[index].isMute, !processes[index].outbox.isEmpty else { return }
        let record = processes[index].outbox.removeFirst()
        put(record)
        processes[index].written = processes[index].written.suffix(7) + [record]
    }

    mutating func put(_ record: LogRecord) {
        // Through its bytes, as it goes.
        log.append(
            LogEntry(
                offset: Int64(log.count), timestamp: 1_793_491_200_000 + time, content: LogRecord.read(record.bytes)))
        tookEffect(record, truth.apply(record))
        hashes.append(truth.hash)
        if case .snapshot(let chunk) = record.body {
            chunks[chunk.name, default: []].insert(chunk.index)
            if chunks[chunk.name]?.count == Int(chunk.count) { complete.insert(chunk.name) }
        }
    }

    mutating func read(_ index: Int, count: Int) throws {
        guard !processes[index].isStopped, !processes[index].isDeaf else { return }
        var left = count
        while left > 0, let position = processes[index].position {
            left -= 1
            if position < start {
                processes[index].position = start
                try perform(index) { $0.lostPlace(at: $1) }
            } else if position < log.count {
                processes[index].position = position + 1
                let entry = log[Int(position)]
                try perform(index) { $0.read(entry, at: $1) }
            } else {
                try perform(index) { $0.reachedEnd(position, at: $1) }
                if processes[index].position == position { return }
            }
        }
    }

    mutating func want(_ index: Int, isTry: Bool) throws {
        guard !processes[index].isStopped, processes[index].waiting.count < 2 else { return }
        let name = Self.names[pick(0...1)]
        // One of a process at a time, as the arbiter sees to.
        guard !processes[index].waiting.values.contains(name),
            !processes[index].leases.values.contains(where: { $0.name == name && !$0.isLost })
        else { return }
        try want(index, name: name, isTry: isTry)
    }

    mutating func want(_ index: Int, name: LockName, isTry: Bool) throws {
        attempts += 1
        let attempt = attempts
        processes[index].waiting[attempt] = name
        try perform(index) { $0.want(attempt, name, isTry: isTry, at: $1) }
    }

    mutating func leaveSomething(_ index: Int) throws {
        guard !processes[index].isStopped else { return }
        let all = (Array(processes[index].waiting.keys) + processes[index].leases.keys).sorted()
        guard !all.isEmpty else { return }
        try leave(index, all[pick(0...(all.count - 1))])
    }

    mutating func leave(_ index: Int, _ attempt: UInt64) throws {
        processes[index].waiting[attempt] = nil
        processes[index].leases[attempt] = nil
        try perform(index) { $0.leave(attempt, at: $1) }
    }

    mutating func kill(_ index: Int) {
        orphans += processes[index].outbox
        processes[index] = newProcess()
    }

    /// A record is lost, although later ones may come; or it is only its acknowledgement.
    mutating func lose(_ index: Int) {
        guard !processes[index].outbox.isEmpty else { return }
        let place = pick(0...(processes[index].outbox.count - 1))
        let record = processes[index].outbox.remove(at: place)
        if chance(40) { put(record) }
        processes[index].unreported.append(record.number)
    }

    /// What was written last comes once more, all of it or a part.
    mutating func resend(_ index: Int) {
        let written = processes[index].written
        if chance(50) {
            for record in written.suffix(pick(1...3)) { put(record) }
        } else if !written.isEmpty {
            put(written[pick(0...(written.count - 1))])
        }
    }

    // MARK: Effects

    mutating func perform(
        _ index: Int, _ event: (inout LogPartition, LogSession.Moment) -> [LogPartition.Effect]
    ) throws {
        guard !processes[index].isStopped else { return }
        if !processes[index].unreported.isEmpty, chance(30) {
            let number = processes[index].unreported.removeFirst()
            for effect in processes[index].machine.failed(number, at: moment(index)) { try take(effect, index) }
        }
        for effect in event(&processes[index].machine, moment(index)) { try take(effect, index) }
        try check()
        try compare(index)
    }

    mutating func take(_ effect: LogPartition.Effect, _ index: Int) throws {
        switch effect {
        case .ask: processes[index].isAsking = true
        case .seek(let offset):
            processes[index].position = offset
            if offset > 0, offset > start { snapshotsUsed += 1 }
        case .stopReading: processes[index].position = nil
        case .write(let record):
            processes[index].outbox.append(record)
            if let name = record.snapshot, !complete.contains(name) {
                throw Violation(description: "a snapshot is named that is not complete")
            }
            if case .snapshot(let chunk) = record.body, let view = processes[index].machine.session?.view, isWhole(view)
            {
                wholeSnapshots.insert(chunk.name)
            }
        case .proven(let until, _): processes[index].provenUntil = until
        case .granted(let attempt, let token): try granted(attempt, token, index)
        case .refused(let attempt): processes[index].waiting[attempt] = nil
        case .failed(let attempt, _, _):
            processes[index].waiting[attempt] = nil
            processes[index].marks.end(attempt)
        case .marks(let number, let marks): try sawMarks(number, marks, index)
        case .marked(let number): try wroteMark(number, index)
        case .lost(let attempt, _): processes[index].leases[attempt]?.isLost = true
        case .ended: processes[index].provenUntil = nil
        case .left, .suspect, .foreign, .notStarted: break
        }
    }

    mutating func granted(_ attempt: UInt64, _ token: UInt64, _ index: Int) throws {
        guard let name = processes[index].waiting.removeValue(forKey: attempt) else {
            throw Violation(description: "granted what nobody waits for")
        }
        for (other, process) in processes.enumerated() where process.leases.values.contains(where: { $0.name == name })
        {
            if isValid(other, name) { throw Violation(description: "\(name) granted to two") }
        }
        guard token > highest[name] ?? 0 else { throw Violation(description: "the token of \(name) does not grow") }
        highest[name] = token
        if let place = processes[index].machine.session?.view.table.lines[name]?.places.first {
            guard place.offset > served[name] ?? -1 else {
                throw Violation(description: "\(name) not first come, first served")
            }
            served[name] = place.offset
        }
        grants += 1
        processes[index].leases[attempt] = Lease(
            name: name, token: token, marksWritten: marks.writtenAtGrant[token] ?? 0)
    }
}

import MQLockTesting

/// Makes histories of a lock service that keeps its promises, with kills, stops, outages and losses.
struct HistoryGenerator {
    /// No lock stays free longer than this in what is generated, while it is wanted and the broker serves.
    static let bound = UInt64(1_000_000)

    private var random: SeededGenerator
    private var events: [History.Event] = []
    private var now: UInt64 = 1_000_000
    private var token: UInt64 = 0
    private var mark: UInt64 = 0
    private var line: [String] = []
    private var spawned = 0
    private let name: String

    private init(seed: UInt64, name: String) {
        random = SeededGenerator(seed)
        self.name = name
    }

    /// A history of one to three locks.
    static func good(seed: UInt64) -> [History.Event] {
        let names = 1 + Int(seed % 3)
        return (0..<names).flatMap { index -> [History.Event] in
            var generator = Self(seed: seed &* 31 &+ UInt64(index), name: "lock-\(index)")
            return generator.run(holds: 20)
        }
    }

    private mutating func tick(_ limit: UInt64 = 10_000) { now += .random(in: 1...limit, using: &random) }

    private mutating func add(_ who: String, _ kind: History.Kind, at: UInt64? = nil) {
        let aboutProcess: Bool =
            switch kind {
            case .processDied, .processStopped, .processContinued, .brokerDown, .brokerUp: true
            default: false
            }
        events.append(
            History.Event(
                at: at ?? now, process: "\(name)-\(who)", contender: aboutProcess ? "" : "c",
                name: aboutProcess ? "" : name, kind: kind))
    }

    private mutating func enter(_ who: String) {
        tick()
        add(who, .waiting)
        line.append(who)
    }

    private mutating func spawn() {
        spawned += 1
        enter("p\(spawned)")
    }

    private mutating func run(holds: Int) -> [History.Event] {
        for _ in 0..<3 { spawn() }
        for _ in 0..<holds {
            while line.count < 2 { spawn() }
            if Int.random(in: 0..<12, using: &random) == 0 { outage() }
            if Int.random(in: 0..<8, using: &random) == 0, let who = line.popLast() {
                tick()
                add(who, .gaveUp)
                enter(who)
            }
            hold(line.removeFirst())
        }
        // A wait that is open at the end may be as long as the history; these end in time.
        for who in line {
            tick()
            add(who, .gaveUp)
        }
        return events
    }

    private mutating func outage() {
        tick()
        add("broker", .brokerDown)
        now += Self.bound * 3
        add("broker", .brokerUp)
    }

    private mutating func write(_ who: String, _ token: UInt64) {
        tick()
        add(who, .wrote(token: token, accepted: token >= mark, resource: "r"))
        mark = max(mark, token)
    }

    private mutating func hold(_ who: String) {
        tick()
        token += .random(in: 1...40, using: &random)
        let own = token
        add(who, .granted(token: own))
        for _ in 0..<Int.random(in: 1...2, using: &random) { write(who, own) }
        tick()
        switch Int.random(in: 0..<6, using: &random) {
        case 0: add(who, .processDied)
        case 1: stop(who, own)
        case 2:
            add(who, .ended(cause: .lost("connection closed"), validUntil: now - 1))
            enter(who)
        default:
            add(who, .ended(cause: .released, validUntil: now))
            enter(who)
        }
    }

    /// Stopped past its proof; another holds the lock and writes; then the first goes on and is refused.
    private mutating func stop(_ who: String, _ own: UInt64) {
        add(who, .processStopped)
        tick()
        let validUntil = now
        if Bool.random(using: &random) {
            // Killed while stopped: it may not even have known until when it was valid.
            tick()
            token += 1
            let next = line.removeFirst()
            add(next, .granted(token: token))
            write(next, token)
            tick()
            add(who, .processDied)
            add(next, .ended(cause: .released, validUntil: now))
            return enter(next)
        }
        tick()
        token += 1
        let next = line.removeFirst()
        add(next, .granted(token: token))
        write(next, token)
        tick()
        add(who, .processContinued)
        write(who, own)
        tick()
        add(who, .ended(cause: .lost("proof of life overdue"), validUntil: validUntil))
        tick()
        add(next, .ended(cause: .released, validUntil: now))
        enter(next)
        enter(who)
    }
}

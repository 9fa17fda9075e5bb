import MQLock
import Testing

/// Every way through the machine, with every event that the world around it can send at each step.
@Suite struct CandidateMachineTests {
    @Test func noWayBreaksARule() {
        let (states, broken) = Exploration(mutant: nil).run(depth: 24)
        #expect(broken == nil, "\(broken ?? "")")
        // What is explored shrinks to nothing unnoticed otherwise.
        #expect(states > 2000, "\(states) states")
    }

    @Test(arguments: CandidateMachine.Mutant.allCases)
    func aDefectIsFound(_ mutant: CandidateMachine.Mutant) {
        #expect(Exploration(mutant: mutant).run(depth: 24).broken != nil, "\(mutant) went unnoticed")
    }

    @Test func leadershipsThatEndSoonWaitLongerEachTime() {
        var machine = CandidateMachine()
        var waits: [CandidateMachine.Action] = []
        var actions = machine.handle(.start(repeats: true))
        for steady in [false, false, false, true, false, false] {
            #expect(actions == [.contend])
            _ = machine.handle(.elected, of: machine.term)
            _ = machine.handle(.lost(isFlap: true), of: machine.term)
            _ = machine.handle(.workEnded(.failed), of: machine.term)
            actions = machine.handle(.released(wasSteady: steady), of: machine.term)
            if actions == [.leave] {
                waits += machine.handle(.left, of: machine.term)
                actions = machine.handle(.rested, of: machine.term)
            }
        }
        // The first is none, and neither is the one after a steady leadership.
        #expect(waits == [2, 3, 2].map { .backOff(attempt: $0) })
    }
}

/// A breadth-first search over the machine and the little that matters of the world around it.
private struct Exploration {
    private struct World: Hashable {
        var machine: CandidateMachine
        var contends = false
        var holds = false
        var works = false
        /// Of the last leadership.
        var failed = false
        var ceded = false
        var releases = false
        var leaves = false
        var rests = false
        /// Somebody asked it to resign or to stop.
        var isUnwanted = false
        var hasBackedOff = true
        var hasLeft = true
        /// Stopped without having ended everything.
        var isOverdue = false
    }

    let mutant: CandidateMachine.Mutant?

    private static let asked: [CandidateMachine.Event] = [
        .start(repeats: true), .start(repeats: false), .asked(.resigned), .asked(.ceded), .asked(.stopped), .overdue,
    ]

    func run(depth: Int) -> (states: Int, broken: String?) {
        var seen: Set<World> = []
        var frontier: [(World, [String])] = [(World(machine: CandidateMachine(mutant: mutant)), [])]
        for _ in 0..<depth {
            var next: [(World, [String])] = []
            for (world, way) in frontier {
                for event in Self.asked + events(world) {
                    let way = way + ["\(event)"]
                    var after = world
                    if let broken = step(&after, event) { return (seen.count, "\(broken): \(way)") }
                    guard seen.insert(after).inserted else { continue }
                    if after.isUnwanted, !drains(after) { return (seen.count, "never ends: \(way)") }
                    // What was left to itself does not matter to the machine any more.
                    if !after.isOverdue { next.append((after, way)) }
                }
            }
            frontier = next
        }
        return (seen.count, nil)
    }

    /// What the world can say now.
    private func events(_ world: World) -> [CandidateMachine.Event] {
        var events: [CandidateMachine.Event] = []
        if world.contends { events += [.elected, .refused(mayRetry: true), .refused(mayRetry: false)] }
        if world.holds { events += [.lost(isFlap: true), .lost(isFlap: false), .unhealthy] }
        if world.works { events += [.workEnded(.finished), .workEnded(.failed)] }
        if world.releases { events += [.released(wasSteady: false), .released(wasSteady: true)] }
        if world.leaves { events.append(.left) }
        if world.rests { events.append(.rested) }
        return events
    }

    private func step(_ world: inout World, _ event: CandidateMachine.Event) -> String? {
        let wasIdle = world.machine.phase == .idle
        let leading = world.machine.phase == .leading
        switch event {
        case .elected: (world.contends, world.holds) = (false, true)
        case .refused: world.contends = false
        case .workEnded(let cause):
            world.works = false
            if leading, cause == .failed { (world.failed, world.hasBackedOff, world.hasLeft) = (true, false, false) }
        case .released: (world.releases, world.holds) = (false, false)
        case .left: (world.leaves, world.hasLeft) = (false, true)
        case .rested: world.rests = false
        case .asked(.ceded) where leading: (world.ceded, world.hasLeft) = (true, false)
        case .asked(.resigned), .asked(.stopped): if !wasIdle { world.isUnwanted = true }
        default: break
        }
        for action in world.machine.handle(event, of: nil) {
            if let broken = perform(action, &world) { return broken }
        }
        if !wasIdle, world.machine.phase == .idle, world.holds || world.contends, !world.isOverdue {
            return "what was given up still stands in line, or holds"
        }
        return nil
    }

    private func perform(_ action: CandidateMachine.Action, _ world: inout World) -> String? {
        switch action {
        case .contend:
            if world.isUnwanted { return "campaigns although nobody wants it to" }
            if world.contends || world.holds || world.works { return "campaigns while it leads" }
            if !world.hasBackedOff { return "campaigns at once after a failure" }
            if !world.hasLeft { return "campaigns without having let others past" }
            (world.contends, world.ceded, world.failed) = (true, false, false)
        case .startWork:
            if world.isUnwanted { return "works although nobody wants it to" }
            if world.works || !world.holds { return "works twice, or without leading" }
            world.works = true
        case .release:
            if world.works { return "released while the work goes on" }
            if !world.holds || world.releases { return "released what it does not hold" }
            world.releases = true
        case .leave:
            if world.holds || world.contends { return "lets others past while it stands in the way" }
            world.leaves = true
        case .backOff: (world.rests, world.hasBackedOff) = (true, true)
        case .standAside: world.rests = true
        case .cancelRest: world.rests = false
        case .finish(let ending):
            world.isOverdue = ending == .overdue
            (world.isUnwanted, world.hasBackedOff, world.hasLeft) = (false, true, true)
            (world.ceded, world.failed) = (false, false)
        case .cancelCampaign, .cancelWork, .tellOverdue, .abandon: break
        }
        return nil
    }

    /// Whether it ends when everything obeys.
    private func drains(_ world: World) -> Bool {
        var world = world
        for _ in 0..<20 where world.isUnwanted {
            guard
                let event = events(world).first(where: {
                    switch $0 {
                    case .elected, .lost, .unhealthy: false
                    default: true
                    }
                }), step(&world, event) == nil
            else { return false }
        }
        return !world.isUnwanted
    }
}

import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// Those who look at the marks of a lock, in every order of their steps, with deaths between any two.
@Suite(.inBackground, .timeLimit(.minutes(20))) struct MarkLookTests {
    @Test func whoeverLooksSeesEveryMark() {
        let seed = TestSeed.next()
        print("looks at marks: MQLOCK_SEED=\(seed)")
        var generator = SeededGenerator(seed)
        var (looks, renewals, deaths) = (0, 0, 0)
        for index in 0..<1000 {
            var world = LookWorld(&generator)
            let faults = world.run(&generator)
            #expect(faults.isEmpty, "case \(index), MQLOCK_SEED=\(seed)")
            guard faults.isEmpty else { return }
            looks += world.looks
            renewals += world.renewals
            deaths += world.deaths
        }
        print("looks at marks: \(looks), \(renewals) wrote them anew, \(deaths) deaths")
        #expect(looks > 2500 && renewals > 250 && deaths > 250, "else nothing was tested")
    }
}

/// A queue with a single active consumer, as the broker keeps it, and programs that look.
private struct LookWorld {
    private enum Body: Equatable {
        case mark(DoneMark, Nonce)
        case look(Nonce)
    }

    private struct Message {
        let body: Body
        var returns: Int64 = 0
    }

    /// A program that looks, with what it still has to send, in order.
    private struct Program {
        enum Request {
            case publish(Body)
            case acknowledge(UInt64)
            case close
        }

        var look = MarkLook()
        /// Marks that were there before its look was.
        var expected: [DoneMark]
        var writtenBefore: Int
        var seen: [DoneMark]?
        var delivered: [UInt64: Message] = [:]
        var order: [UInt64] = []
        var requests: ArraySlice<Request> = []
    }

    private var ready: [Message] = []
    private var line: [Int] = []
    private var programs: [Int: Program] = [:]
    private var written: [DoneMark] = []
    private var lastTag: UInt64 = 0
    private var lastProgram = 0
    private var lastMark: UInt64 = 0
    private(set) var looks = 0
    private(set) var renewals = 0
    private(set) var deaths = 0

    init(_ generator: inout SeededGenerator) {
        for _ in 0..<Int.random(in: 1...10, using: &generator) {
            write(returns: .random(in: 480...499, using: &generator))
        }
    }

    private mutating func write(returns: Int64 = 0) {
        lastMark += 1
        let mark = DoneMark(
            period: "key \(lastMark)", began: Int64(lastMark), ended: Int64(lastMark), owner: "o",
            fencingToken: FencingToken(rawValue: lastMark)!)
        written.append(mark)
        ready.append(Message(body: .mark(mark, Nonce()), returns: returns))
    }

    mutating func run(_ generator: inout SeededGenerator) -> [String] {
        var faults: [String] = []
        for _ in 0..<Int.random(in: 50...400, using: &generator) {
            switch Int.random(in: 0..<24, using: &generator) {
            case 0: if programs.count < 4 { begin() }
            case 1: if Int.random(in: 0..<4, using: &generator) == 0 { write() }
            case 2:
                if Int.random(in: 0..<3, using: &generator) == 0,
                    let victim = programs.keys.randomElement(using: &generator)
                {
                    die(victim)
                }
            case 3..<14: deliver()
            default: if let first = line.first { send(first, &faults) }
            }
        }
        return faults
    }

    private mutating func begin() {
        lastProgram += 1
        let program = Program(expected: written.suffix(DoneMark.kept), writtenBefore: written.count)
        ready.append(Message(body: .look(program.look.own.nonce)))
        programs[lastProgram] = program
        line.append(lastProgram)
    }

    /// What the broker does when a channel is closed, by whatever end.
    private mutating func leave(_ number: Int) {
        guard let program = programs.removeValue(forKey: number) else { return }
        line.removeAll { $0 == number }
        let back = program.order.compactMap { program.delivered[$0] }
        ready = back.map { Message(body: $0.body, returns: $0.returns + 1) } + ready
    }

    private mutating func die(_ number: Int) {
        deaths += 1
        leave(number)
    }

    private mutating func deliver() {
        guard let active = line.first, !ready.isEmpty, var program = programs[active] else { return }
        let message = ready.removeFirst()
        lastTag += 1
        program.delivered[lastTag] = message
        program.order.append(lastTag)
        switch program.look.received(Self.delivery(message, lastTag)) {
        case .more: break
        case .seen:
            program.seen = program.look.marks
            if program.look.isWorn {
                renewals += 1
                program.requests += program.look.copies().map { .publish(.mark($0.mark, $0.nonce)) }
            } else {
                program.requests += Self.end(program.look)
            }
        case .late: program.requests += program.look.copies().map { .publish(.mark($0.mark, $0.nonce)) }
        case .copied:
            program.requests += program.look.copiesOfLooks.map { .publish(.look($0.nonce)) }
            program.requests += program.look.originals.map { .acknowledge($0) }
            program.requests += Self.end(program.look)
        }
        programs[active] = program
    }

    private static func end(_ look: MarkLook) -> [Program.Request] {
        look.superfluous.map { .acknowledge($0) } + [.close]
    }

    private mutating func send(_ number: Int, _ faults: inout [String]) {
        guard let request = programs[number]?.requests.popFirst() else { return }
        switch request {
        case .publish(let body): ready.append(Message(body: body))
        case .acknowledge(let tag): programs[number]?.delivered[tag] = nil
        case .close:
            guard let program = programs[number] else { return }
            looks += 1
            let seen = program.seen ?? []
            let missed = program.expected.filter { !seen.contains($0) }
            // Marks that were written since then may have pushed the oldest out.
            let newer = written.count - program.writtenBefore
            if missed.count > newer || missed != Array(program.expected.prefix(missed.count)) {
                faults.append("saw \(seen.map(\.period)), not \(missed.map(\.period)), \(newer) newer")
            }
            leave(number)
        }
    }

    private static func delivery(_ message: Message, _ tag: UInt64) -> Delivery {
        var properties = MessageProperties()
        properties.headers = ["x-delivery-count": .int64(message.returns)]
        let payload: [UInt8]
        switch message.body {
        case .mark(let mark, let nonce): payload = MarkMessage(mark, nonce).payload
        case .look(let nonce): payload = LookMessage(nonce).payload
        }
        return Delivery(
            deliveryTag: tag, redelivered: message.returns > 0, exchange: ObjectNames.exchange, routingKey: "q",
            properties: properties, body: payload)
    }
}

import MQLock

/// What the parent asks a worker to do, a line each.
enum BenchOrder: Equatable {
    enum Program: String, CaseIterable {
        case mqlock, raw
    }

    /// Connect, and do what only the first use costs. Answered by `ready`.
    case prepare(Program)
    /// Acquire and release so often, both programs in turns (or ours alone). Answered by `times` and `done`.
    case cycles(Int, withRaw: Bool)
    /// Acquire so often and hold for so many microseconds each time. Answered by `turns` and `done`.
    case turns(Program, Int, microseconds: Int)
    /// Acquire and keep. Answered by `granted`.
    case hold(Program)

    var line: String {
        switch self {
        case .prepare(let program): "prepare \(program.rawValue)"
        case .cycles(let count, let withRaw): "cycles \(count) \(withRaw)"
        case .turns(let program, let count, let hold): "turns \(program.rawValue) \(count) \(hold)"
        case .hold(let program): "hold \(program.rawValue)"
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ").map(String.init)
        func program(_ index: Int) -> Program? { words.count > index ? Program(rawValue: words[index]) : nil }
        func number(_ index: Int) -> Int? { words.count > index ? Int(words[index]) : nil }
        switch words.first {
        case "prepare": if let program = program(1) { self = .prepare(program) } else { return nil }
        case "hold": if let program = program(1) { self = .hold(program) } else { return nil }
        case "cycles":
            guard let count = number(1), words.count > 2, let withRaw = Bool(words[2]) else { return nil }
            self = .cycles(count, withRaw: withRaw)
        case "turns":
            guard let program = program(1), let count = number(2), let hold = number(3) else { return nil }
            self = .turns(program, count, microseconds: hold)
        default: return nil
        }
    }
}

/// What a worker answers, a line each.
enum BenchAnswer: Equatable {
    case ready
    /// Durations of cycles, in nanoseconds.
    case times(BenchOrder.Program, [UInt64])
    /// Grant and release of each turn, one after the other.
    case turns([UInt64])
    case granted(UInt64)
    case done
    case failed(code: String, message: String)

    var line: String {
        switch self {
        case .ready: "ready"
        case .times(let program, let times): "times \(program.rawValue) \(Self.text(times))"
        case .turns(let instants): "turns \(Self.text(instants))"
        case .granted(let instant): "granted \(instant)"
        case .done: "done"
        case .failed(let code, let message): "failed \(code.isEmpty ? "-" : code) \(message.escapedForDisplay)"
        }
    }

    init?(line: String) {
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        switch words.first {
        case "ready": self = .ready
        case "done": self = .done
        case "times":
            guard words.count > 1, let program = BenchOrder.Program(rawValue: words[1]),
                let times = Self.numbers(words.dropFirst(2))
            else { return nil }
            self = .times(program, times)
        case "turns":
            guard let instants = Self.numbers(words.dropFirst()) else { return nil }
            self = .turns(instants)
        case "granted":
            guard words.count == 2, let instant = UInt64(words[1]) else { return nil }
            self = .granted(instant)
        case "failed":
            guard words.count > 1 else { return nil }
            self = .failed(code: words[1], message: words.dropFirst(2).joined(separator: " "))
        default: return nil
        }
    }

    private static func numbers(_ words: ArraySlice<String>) -> [UInt64]? {
        let numbers = words.compactMap { UInt64($0) }
        return numbers.count == words.count ? numbers : nil
    }

    private static func text(_ numbers: [UInt64]) -> String { numbers.map(String.init).joined(separator: " ") }
}

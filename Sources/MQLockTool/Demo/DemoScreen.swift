import Foundation

/// Shows the view on standard output: redrawn in place on a terminal, line by line elsewhere, events with `--json`.
struct DemoScreen {
    private enum Style { case terminal(colours: Bool), lines, json }

    private let style: Style
    private var drawn = 0

    init(isJSON: Bool) {
        let environment = ProcessInfo.processInfo.environment
        if isJSON {
            style = .json
        } else if isatty(1) == 1, environment["TERM"] ?? "dumb" != "dumb" {
            // https://no-color.org: present and not empty.
            style = .terminal(colours: environment["NO_COLOR", default: ""].isEmpty)
        } else {
            style = .lines
        }
    }

    var isLive: Bool { if case .terminal = style { true } else { false } }

    /// An event or a message, as it comes.
    func show(_ line: DemoView.Line?, of view: DemoView) {
        guard case .lines = style, let line else { return }
        put(view.text(line) + "\n")
    }

    /// An object of `--json`.
    func json(_ line: @autoclosure () -> String) {
        if case .json = style { put(JSONLine.stamped(line())) }
    }

    /// Text for people, at the end.
    func finish(_ text: String) {
        if case .json = style { return }
        put("\n\(text)\n")
    }

    mutating func draw(_ view: DemoView, now: UInt64, lock: String) {
        guard case .terminal(let colours) = style else { return }
        let size = Self.size
        // More lines than the terminal has would scroll away from under the cursor.
        let lines = view.screen(now: now, lock: lock).prefix(max(1, size.rows - 1))
        var text = drawn > 0 ? "\u{1b}[\(drawn)A\r" : ""
        for line in lines {
            let shown = String(line.text.prefix(max(1, size.columns - 1)))
            text += Self.coloured(shown, line.tone, colours) + "\u{1b}[K\n"
        }
        put(text + "\u{1b}[J")
        drawn = lines.count
    }

    private static func coloured(_ text: String, _ tone: DemoView.Tone, _ colours: Bool) -> String {
        let code: String? =
            switch tone {
            case .plain: nil
            case .good: "32"
            case .bad: "31"
            case .notice: "1"
            }
        guard colours, let code else { return text }
        return "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }

    private static var size: (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (24, 80) }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// When our reader has gone, the demo still has processes to end cleanly.
    private func put(_ text: String) { Platform.writeAll(text.utf8, to: 1) }
}

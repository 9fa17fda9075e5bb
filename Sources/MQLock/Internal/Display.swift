extension String {
    /// The text with everything escaped that could forge a line of output or reorder it on a terminal: control
    /// characters, line and paragraph separators, and the bidirectional controls.
    ///
    /// Names, owners and texts from a broker pass through here wherever they are shown.
    package var escapedForDisplay: String {
        guard unicodeScalars.contains(where: \.needsEscaping) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if scalar.needsEscaping {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension Unicode.Scalar {
    /// Whether it could forge a line of output or reorder it.
    package var needsEscaping: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: properties.isBidiControl
        }
    }
}

extension Duration {
    /// Seconds as a floating-point number, for messages and reports; never for deciding anything.
    package var seconds: Double { Double(attoseconds) / 1e18 }

    /// Whole nanoseconds; clamped to what 64 bits hold (292 years).
    package var nanoseconds: Int64 { Int64(clamping: attoseconds / 1_000_000_000) }

    /// As a person would write it: `250 ms`, `1.5 s`.
    package var readable: String {
        let seconds = self.seconds
        if abs(seconds) < 1 { return "\((seconds * 10_000).rounded() / 10) ms" }
        return "\((seconds * 10).rounded() / 10) s"
    }
}

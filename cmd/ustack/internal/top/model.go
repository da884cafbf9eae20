package top

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// Ask gets the next sample.
type Ask func(context.Context) (Sample, error)

// model is the page on a terminal.
type model struct {
	ctx      context.Context
	ask      Ask
	interval time.Duration
	history  History
	frame    Frame
	paused   bool
	err      error
}

// Run shows the page until q is pressed, ctx is done, or ask fails: then it returns that error.
func Run(ctx context.Context, ask Ask, interval time.Duration, frame Frame, options ...tea.ProgramOption) error {
	frame.Styles = colours()
	m := &model{ctx: ctx, ask: ask, interval: interval, frame: frame}
	_, err := tea.NewProgram(m, append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithoutSignalHandler()}, options...)...).Run()
	if m.err != nil || ctx.Err() != nil {
		return m.err
	}
	return err
}

// Once returns a page without colours, of two samples that lie an interval apart.
func Once(ctx context.Context, ask Ask, interval time.Duration, frame Frame) (string, error) {
	var h History
	for i := range 2 {
		if i > 0 {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(interval):
			}
		}
		s, err := ask(ctx)
		if err != nil {
			return "", err
		}
		h.Add(s)
	}
	return frame.Draw(&h) + "\n", nil
}

// colours are for terminals; bubbletea leaves out what a terminal, or NO_COLOR, does not want.
func colours() Styles {
	return Styles{
		Title:  ansi.NewStyle().Bold().Styled,
		Head:   ansi.NewStyle().Reverse(true).Styled,
		Sorted: ansi.NewStyle().Bold().Styled,
		Bad:    ansi.NewStyle().ForegroundColor(ansi.Red).Styled,
		Dim:    ansi.NewStyle().Faint().Styled,
	}
}

type (
	sampled Sample
	failed  struct{ err error }
	tick    struct{}
)

// Init asks for the first sample.
func (m *model) Init() tea.Cmd { return m.sample }

func (m *model) sample() tea.Msg {
	s, err := m.ask(m.ctx)
	if err != nil {
		return failed{err}
	}
	return sampled(s)
}

// Update is told everything that happens.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.frame.Width, m.frame.Height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.key(msg.String())
	case sampled:
		if !m.paused {
			m.history.Add(Sample(msg))
		}
		return m, tea.Tick(m.interval, func(time.Time) tea.Msg { return tick{} })
	case tick:
		return m, m.sample
	case failed:
		m.err = msg.err
		return m, tea.Quit
	}
	return m, nil
}

func (m *model) key(name string) tea.Cmd {
	f := &m.frame
	switch name {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "left":
		f.Sort = max(f.Sort-1, byRate)
	case "right":
		f.Sort = min(f.Sort+1, len(columns)-1)
	case "r":
		f.Reverse = !f.Reverse
	case "up":
		f.Offset = max(f.Offset-1, 0)
	case "down":
		f.Offset++
	case "pgup":
		f.Offset = max(f.Offset-f.Height/2, 0)
	case "pgdown":
		f.Offset += f.Height / 2
	case "home":
		f.Offset = 0
	case "space":
		m.paused = !m.paused
		f.Note = ""
		if m.paused {
			f.Note = "paused: space goes on"
		}
	}
	return nil
}

// View draws the page. Before the first sample, and before the size is known, there is none.
func (m *model) View() tea.View {
	page := ""
	if !m.history.last.Conns.Time.IsZero() && m.frame.Height > 0 {
		page = m.frame.Draw(&m.history)
	}
	v := tea.NewView(page)
	v.AltScreen = true
	return v
}

"""The steps of the course week that are not examples of their own; `lesson.py` runs them.

A new step touches these files, in order:
    1. examples/course/NAME.py: a docstring, and `main` with the options of `options.parser`, which returns the answer.
    2. examples/lesson.py: its place in STEPS, and the functions whose source is shown.
    3. course/english.py and course/korean.py: its texts, which tests/examples/test_course.py keeps in step.
    4. tests/examples/test_course_steps.py: a test of its output.
"""
